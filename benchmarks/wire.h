/* What both ends of a benchmark share: bytes, sockets, and command sets in P-DATA-TF PDUs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { ASSOCIATE_RQ = 1, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP };
enum { BUFFER = 256 * 1024, RAW_RESPONSE = 130, NO_DATA_SET = 0x0101, C_ECHO_RQ = 0x0030, PATIENCE = 20 };

/* ---- bytes */

static uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | p[2] << 8 | p[3]; }
static uint16_t le16(const uint8_t *p) { return (uint16_t)(p[1] << 8 | p[0]); }
static uint32_t le32(const uint8_t *p) { return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | p[1] << 8 | p[0]; }
static void put_be16(uint8_t *p, uint16_t v) { p[0] = v >> 8, p[1] = (uint8_t)v; }
static void put_be32(uint8_t *p, uint32_t v) { put_be16(p, v >> 16), put_be16(p + 2, (uint16_t)v); }
static void put_le16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v, p[1] = v >> 8; }
static void put_le32(uint8_t *p, uint32_t v) { put_le16(p, (uint16_t)v), put_le16(p + 2, v >> 16); }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- sockets */

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int send_all(int fd, const uint8_t *p, size_t n)
{
    for (ssize_t k; n; p += k, n -= k)
        if ((k = send(fd, p, n, MSG_NOSIGNAL)) <= 0) return -1;
    return 0;
}

static int connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {PATIENCE, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) {
        if (fd >= 0) close(fd);
        return -1;
    }
    no_delay(fd);
    return fd;
}

typedef struct {
    int fd;
    uint8_t *bytes;
    size_t start, end;
} Reader;

static Reader reader(int fd) { return (Reader){fd, malloc(BUFFER), 0, 0}; }

static int fill(Reader *r)
{
    if (r->start == r->end) r->start = r->end = 0;
    if (r->end == BUFFER) {
        memmove(r->bytes, r->bytes + r->start, r->end - r->start);
        r->end -= r->start, r->start = 0;
    }
    ssize_t n = recv(r->fd, r->bytes + r->end, BUFFER - r->end, 0);
    if (n <= 0) return -1;
    r->end += n;
    return 0;
}

/* The next n bytes, n at most BUFFER; NULL at the end of the stream. */
static uint8_t *take(Reader *r, size_t n)
{
    if (n > BUFFER) return NULL;
    while (r->end - r->start < n)
        if (fill(r)) return NULL;
    r->start += n;
    return r->bytes + r->start - n;
}

static int skip(Reader *r, size_t n)
{
    for (;;) {
        size_t there = r->end - r->start;
        if (there >= n) return r->start += n, 0;
        n -= there, r->start = r->end;
        if (fill(r)) return -1;
    }
}

/* ---- command sets (PS3.7 annex E), in Implicit VR Little Endian */

static const uint8_t *find(const uint8_t *command, size_t length, uint16_t element, uint32_t *size)
{
    for (size_t i = 0; i + 8 <= length;) {
        *size = le32(command + i + 4);
        if (i + 8 + *size > length) break;
        if (le16(command + i + 2) == element) return command + i + 8;
        i += 8 + *size;
    }
    *size = 0;
    return NULL;
}

static size_t put(uint8_t *p, uint16_t element, const void *value, uint32_t size)
{
    put_le16(p, 0), put_le16(p + 2, element), put_le32(p + 4, size), memcpy(p + 8, value, size);
    return 8 + size;
}

static size_t put_number(uint8_t *p, uint16_t element, uint16_t number)
{
    uint8_t value[2];
    put_le16(value, number);
    return put(p, element, value, 2);
}

/* Wrap a command set, which begins at pdu + 12 with its group length, into one P-DATA-TF. Returns its whole length. */
static size_t wrap(uint8_t *pdu, uint8_t context, size_t length)
{
    uint8_t rest[4];
    put_le32(rest, (uint32_t)(length - 12)), put(pdu + 12, 0x0000, rest, 4);
    pdu[0] = P_DATA, pdu[1] = 0, put_be32(pdu + 2, (uint32_t)(6 + length)), put_be32(pdu + 6, (uint32_t)(2 + length));
    pdu[10] = context, pdu[11] = 3;
    return 12 + length;
}
