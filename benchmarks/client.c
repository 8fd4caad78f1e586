/* A client that costs as little as possible, for measuring what associations cost a server.
 *
 *   client echo PORT TITLE CLIENTS SECONDS     associations with one C-ECHO each, for so long
 *   client hold PORT TITLE CLIENTS COUNT       opens associations, and holds them until standard input ends
 *
 * Both say three numbers on standard output: how many went well, how many did not, and the seconds they took.
 */
#include "wire.h"

#include <pthread.h>
#include <stdatomic.h>

static const char *title;

static size_t put_item(uint8_t *p, uint8_t type, const char *text)
{
    size_t size = strlen(text);
    p[0] = type, p[1] = 0, put_be16(p + 2, (uint16_t)size), memcpy(p + 4, text, size);
    return 4 + size;
}

/* Open an association for the Verification SOP class. Returns 0 once it is accepted, context 1 included. */
static int associate(Reader *r, int port)
{
    uint8_t rq[512] = {ASSOCIATE_RQ}, *item, *head;
    size_t at = 74;
    r->start = r->end = 0;
    if ((r->fd = connect_to(port)) < 0) return -1;
    rq[7] = 1, memset(rq + 10, ' ', 32), memcpy(rq + 10, title, strlen(title)), memcpy(rq + 26, "BENCHMARK", 9);
    at += put_item(rq + at, 0x10, "1.2.840.10008.3.1.1.1");
    item = rq + at, item[0] = 0x20, item[4] = 1, at += 8;
    at += put_item(rq + at, 0x30, "1.2.840.10008.1.1");
    at += put_item(rq + at, 0x40, "1.2.840.10008.1.2");
    put_be16(item + 2, (uint16_t)(rq + at - item - 4));
    item = rq + at, item[0] = 0x50, at += 4;
    rq[at] = 0x51, put_be16(rq + at + 2, 4), put_be32(rq + at + 4, 16384), at += 8;
    at += put_item(rq + at, 0x52, "1.2.826.0.1.3680043.10.999.1");
    put_be16(item + 2, (uint16_t)(rq + at - item - 4));
    put_be32(rq + 2, (uint32_t)(at - 6));
    if (send_all(r->fd, rq, at) || !(head = take(r, 6)) || head[0] != ASSOCIATE_AC) return -1;
    return skip(r, be32(head + 2));
}

static int echo(Reader *r)
{
    static const char verification[] = "1.2.840.10008.1.1"; /* 17 characters and the 0 that makes them even */
    uint8_t rq[128], *p = rq + 12, *head;
    size_t at = 12;
    at += put(p + at, 0x0002, verification, 18);
    at += put_number(p + at, 0x0100, C_ECHO_RQ);
    at += put_number(p + at, 0x0110, 1);
    at += put_number(p + at, 0x0800, NO_DATA_SET);
    if (send_all(r->fd, rq, wrap(rq, 1, at)) || !(head = take(r, 6)) || head[0] != P_DATA) return -1;
    uint32_t size = be32(head + 2), found;
    const uint8_t *response = take(r, size), *status = response ? find(response + 6, size - 6, 0x0900, &found) : NULL;
    return status && le16(status) == 0 ? 0 : -1;
}

static int release(Reader *r)
{
    static const uint8_t rq[10] = {RELEASE_RQ, 0, 0, 0, 0, 4};
    uint8_t *head;
    return send_all(r->fd, rq, sizeof rq) || !(head = take(r, 6)) || head[0] != RELEASE_RP ? -1 : 0;
}

static int target;
static long wanted;
static double until;
static _Atomic long begun, opened, failures;

static void *echo_on(void *unused)
{
    Reader r = reader(-1);
    while (now() < until) {
        if (associate(&r, target) || echo(&r) || release(&r)) atomic_fetch_add(&failures, 1);
        else atomic_fetch_add(&opened, 1);
        if (r.fd >= 0) close(r.fd);
    }
    return unused;
}

static void *hold_on(void *unused)
{
    Reader r = reader(-1);
    while (atomic_fetch_add(&begun, 1) < wanted) {
        if (!atomic_load(&failures) && !associate(&r, target)) atomic_fetch_add(&opened, 1);
        else atomic_fetch_add(&failures, 1);
    }
    return unused;
}

static void run_clients(int clients, void *(*work)(void *))
{
    pthread_t threads[64];
    double started = now();
    if (clients < 1 || clients > 64 || strlen(title) > 16) exit(2);
    for (int i = 0; i < clients; i++)
        if (pthread_create(&threads[i], NULL, work, NULL)) fail("thread");
    for (int i = 0; i < clients; i++) pthread_join(threads[i], NULL);
    printf("%ld %ld %.6f\n", atomic_load(&opened), atomic_load(&failures), now() - started), fflush(stdout);
}

int main(int count, char **words)
{
    const char *mode = count == 6 ? words[1] : "";
    if (!strcmp(mode, "echo")) {
        target = atoi(words[2]), title = words[3], until = now() + atof(words[5]);
        run_clients(atoi(words[4]), echo_on);
    } else if (!strcmp(mode, "hold")) {
        target = atoi(words[2]), title = words[3], wanted = atol(words[5]);
        run_clients(atoi(words[4]), hold_on);
        while (getchar() != EOF) continue;
    } else {
        fprintf(stderr, "usage: see the top of client.c\n");
        return 2;
    }
    return 0;
}
