/* Servers that cost as little as possible, and the sender that fits the one without DICOM.
 *
 *   sink discard MAX_PDU               a DICOM AE that accepts everything, and throws the data sets away
 *   sink raw                           no DICOM: 4 bytes of length, so many bytes; answers with 130 bytes
 *   sink raw-send PORT COUNT SIZE OF   sends to "sink raw", one blob after the other, out of so many different ones
 *
 * Servers listen on a free port of 127.0.0.1 and say it on standard output; at SIGUSR1 they say how many messages
 * they have answered, at SIGTERM they end. One thread per connection, TCP_NODELAY on both ends.
 */
#include "wire.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static uint32_t max_pdu = 16384;
static _Atomic uint64_t answered;

/* ---- the discarding AE */

/* Accept every presentation context, in Explicit VR Little Endian if that is offered. */
static int accept_association(int fd, const uint8_t *rq, size_t length)
{
    static const char explicit_little[] = "1.2.840.10008.1.2.1", implementation[] = "1.2.826.0.1.3680043.10.999.1";
    if (length < 68) return -1;
    uint8_t *ac = calloc(1, length + 256);
    size_t at = 6 + 68;
    memcpy(ac + 6, rq, 68);
    for (size_t i = 68; i + 4 <= length;) {
        const uint8_t *item = rq + i;
        size_t size = be16(item + 2);
        if (i + 4 + size > length) break;
        if (item[0] == 0x10) memcpy(ac + at, item, 4 + size), at += 4 + size;
        if (item[0] == 0x20) {
            const uint8_t *chosen = NULL;
            for (size_t j = 8; j + 4 <= 4 + size; j += 4 + be16(item + j + 2)) {
                int wanted = be16(item + j + 2) == 19 && !memcmp(item + j + 4, explicit_little, 19);
                if (item[j] == 0x40 && (!chosen || wanted)) chosen = item + j;
            }
            if (!chosen) break;
            uint16_t syntax = be16(chosen + 2);
            ac[at] = 0x21, put_be16(ac + at + 2, 8 + syntax), ac[at + 4] = item[4];
            memcpy(ac + at + 8, chosen, 4 + syntax), at += 12 + syntax;
        }
        i += 4 + size;
    }
    size_t uid = strlen(implementation);
    ac[at] = 0x50, put_be16(ac + at + 2, (uint16_t)(12 + uid));
    ac[at + 4] = 0x51, put_be16(ac + at + 6, 4), put_be32(ac + at + 8, max_pdu);
    ac[at + 12] = 0x52, put_be16(ac + at + 14, (uint16_t)uid), memcpy(ac + at + 16, implementation, uid);
    at += 16 + uid;
    ac[0] = ASSOCIATE_AC, put_be32(ac + 2, (uint32_t)(at - 6));
    int failed = send_all(fd, ac, at);
    free(ac);
    return failed;
}

static int respond(int fd, uint8_t context, const uint8_t *command, size_t length)
{
    uint8_t out[512], *p = out + 12;
    uint32_t class_size, instance_size, size;
    const uint8_t *sop_class = find(command, length, 0x0002, &class_size);
    const uint8_t *instance = find(command, length, 0x1000, &instance_size);
    const uint8_t *field = find(command, length, 0x0100, &size), *message = find(command, length, 0x0110, &size);
    if (!field || !message || class_size > 64 || instance_size > 64) return -1;
    size_t at = 12;
    if (sop_class) at += put(p + at, 0x0002, sop_class, class_size);
    at += put_number(p + at, 0x0100, le16(field) | 0x8000);
    at += put_number(p + at, 0x0120, le16(message));
    at += put_number(p + at, 0x0800, NO_DATA_SET);
    at += put_number(p + at, 0x0900, 0x0000);
    if (instance) at += put(p + at, 0x1000, instance, instance_size);
    atomic_fetch_add(&answered, 1);
    return send_all(fd, out, wrap(out, context, at));
}

/* Take the fragments of one P-DATA-TF, and respond where a message ends. */
static int take_data(Reader *r, uint32_t left, uint8_t *command, size_t *length, size_t room)
{
    while (left) {
        const uint8_t *head = take(r, 6);
        if (!head) return -1;
        uint32_t size = be32(head);
        uint8_t context = head[4], control = head[5];
        if (size < 2 || 4 + size > left) return -1;
        left -= 4 + size, size -= 2;
        if (control & 1) {
            const uint8_t *part = take(r, size);
            if (!part || *length + size > room) return -1;
            memcpy(command + *length, part, size), *length += size;
        } else if (skip(r, size)) {
            return -1;
        }
        if (!(control & 2)) continue;
        uint32_t found;
        const uint8_t *kind = find(command, *length, 0x0800, &found);
        if ((control & 1) && kind && le16(kind) != NO_DATA_SET) continue; /* the data set is to follow */
        if (respond(r->fd, context, command, *length)) return -1;
        *length = 0;
    }
    return 0;
}

static void serve_dicom(Reader *r)
{
    uint8_t command[4096], *head;
    size_t length = 0;
    while ((head = take(r, 6))) {
        uint8_t type = head[0];
        uint32_t size = be32(head + 2);
        if (type == P_DATA) {
            if (take_data(r, size, command, &length, sizeof command)) return;
        } else if (type == ASSOCIATE_RQ) {
            const uint8_t *request = take(r, size);
            if (!request || accept_association(r->fd, request, size)) return;
        } else {
            static const uint8_t reply[10] = {RELEASE_RP, 0, 0, 0, 0, 4};
            if (type == RELEASE_RQ && !skip(r, size)) send_all(r->fd, reply, sizeof reply);
            return;
        }
    }
}

static void serve_raw(Reader *r)
{
    static const uint8_t response[RAW_RESPONSE];
    uint8_t *head;
    while ((head = take(r, 4))) {
        if (skip(r, be32(head)) || send_all(r->fd, response, sizeof response)) return;
        atomic_fetch_add(&answered, 1);
    }
}

static void (*serve)(Reader *);

static void *serve_connection(void *connection)
{
    Reader r = reader((int)(intptr_t)connection);
    serve(&r);
    close(r.fd);
    free(r.bytes);
    return NULL;
}

static void *accept_all(void *listening)
{
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 128 * 1024);
    for (;;) {
        int fd = accept((int)(intptr_t)listening, NULL, NULL);
        pthread_t thread;
        if (fd < 0) continue;
        no_delay(fd);
        if (pthread_create(&thread, &detached, serve_connection, (void *)(intptr_t)fd)) close(fd);
    }
    return NULL;
}

static int run_server(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0), number;
    pthread_t thread;
    sigset_t waited;
    sigemptyset(&waited), sigaddset(&waited, SIGTERM), sigaddset(&waited, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &waited, NULL);
    if (bind(fd, (struct sockaddr *)&at, size) || listen(fd, 1024)) fail("listen");
    getsockname(fd, (struct sockaddr *)&at, &size);
    printf("%d\n", ntohs(at.sin_port)), fflush(stdout);
    if (pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)fd)) fail("thread");
    while (!sigwait(&waited, &number) && number == SIGUSR1)
        printf("%llu\n", (unsigned long long)atomic_load(&answered)), fflush(stdout);
    _exit(0);
}

/* ---- the sender without DICOM */

/* As many different blobs as a study has instances: one alone would stay in the cache, as no study does. */
static int send_raw(int port, long count, size_t size, long different)
{
    uint8_t *blobs = malloc((size_t)different * (4 + size));
    int fd = connect_to(port);
    if (fd < 0 || !blobs) fail("raw-send");
    Reader r = reader(fd);
    for (long i = 0; i < different; i++) {
        uint8_t *blob = blobs + i * (4 + size);
        put_be32(blob, (uint32_t)size), memset(blob + 4, (int)i, size);
    }
    for (long i = 0; i < count; i++)
        if (send_all(fd, blobs + i % different * (4 + size), 4 + size) || !take(&r, RAW_RESPONSE)) fail("raw-send");
    return 0;
}

int main(int count, char **words)
{
    const char *mode = count > 1 ? words[1] : "";
    if (!strcmp(mode, "discard") && count == 3) {
        max_pdu = (uint32_t)atol(words[2]), serve = serve_dicom;
        return run_server();
    }
    if (!strcmp(mode, "raw") && count == 2) {
        serve = serve_raw;
        return run_server();
    }
    if (!strcmp(mode, "raw-send") && count == 6)
        return send_raw(atoi(words[2]), atol(words[3]), (size_t)atol(words[4]), atol(words[5]));
    fprintf(stderr, "usage: see the top of sink.c\n");
    return 2;
}
