/* Runs libmodsecurity's C interface on raw requests and tells its CPU time, for benches/compare/run.
 *
 *   rival RULES [AUDIT_LOG]
 *
 * loads RULES, says `ready VERSION`, and then answers lines on stdin:
 *
 *   COUNT FILE...   runs COUNT transactions with the requests of these files in turn, and says
 *                   `NANOSECONDS BLOCKED`: CPU time of this thread for one transaction, and how many of all were
 *                   interrupted. Requests are read and split into head, headers and body before the clock starts.
 *
 * What one transaction is fed is what benches/compare/ours.rs feeds to Portcullis: connection, URI, headers, body,
 * phases 1, 2 and 5.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#define MAX_HEADERS 64

struct request {
    char *text;
    char *method, *uri, *protocol;
    struct { char *name, *value; } headers[MAX_HEADERS];
    size_t header_count;
    const unsigned char *body;
    size_t body_length;
};

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "rival: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    exit(2);
}

/* Cuts a line at the next CRLF; returns what follows it. */
static char *cut_line(char *at) {
    char *end = strstr(at, "\r\n");
    if (!end) fail("a request has no end of head", NULL);
    *end = 0;
    return end + 2;
}

static struct request read_request(const char *path) {
    struct request r = {0};
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot open", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    r.text = malloc(size + 1);
    if (!r.text || fread(r.text, 1, size, file) != size) fail("cannot read", path);
    r.text[size] = 0;
    fclose(file);

    char *next = cut_line(r.text);
    r.method = r.text;
    r.uri = strchr(r.method, ' ');
    if (!r.uri) fail("no request line in", path);
    *r.uri++ = 0;
    r.protocol = strchr(r.uri, ' ');
    if (!r.protocol) fail("no protocol in", path);
    *r.protocol++ = 0;
    /* The C interface wants `1.1`. */
    if (strncmp(r.protocol, "HTTP/", 5) == 0) r.protocol += 5;
    while (next[0] != '\r') {
        char *line = next;
        next = cut_line(next);
        char *colon = strchr(line, ':');
        if (!colon || r.header_count == MAX_HEADERS) fail("headers of", path);
        *colon++ = 0;
        while (*colon == ' ') colon++;
        r.headers[r.header_count].name = line;
        r.headers[r.header_count].value = colon;
        r.header_count++;
    }
    next += 2;
    r.body = (const unsigned char *)next;
    r.body_length = size - (size_t)(next - r.text);
    return r;
}

static int interrupted(Transaction *t) {
    ModSecurityIntervention it = {200, 0, NULL, NULL, 0};
    int some = msc_intervention(t, &it);
    free(it.url);
    free(it.log);
    return some && it.disruptive;
}

static int run(ModSecurity *engine, RulesSet *rules, const struct request *r) {
    Transaction *t = msc_new_transaction(engine, rules, NULL);
    int blocked = 0;
    msc_process_connection(t, "192.0.2.1", 40000, "192.0.2.2", 80);
    msc_process_uri(t, r->uri, r->method, r->protocol);
    for (size_t i = 0; i < r->header_count; i++)
        msc_add_request_header(t, (const unsigned char *)r->headers[i].name,
                               (const unsigned char *)r->headers[i].value);
    msc_process_request_headers(t);
    blocked = interrupted(t);
    if (!blocked && r->body_length) {
        msc_append_request_body(t, r->body, r->body_length);
        blocked = interrupted(t);
    }
    if (!blocked) {
        msc_process_request_body(t);
        blocked = interrupted(t);
    }
    msc_process_logging(t);
    msc_transaction_cleanup(t);
    return blocked;
}

static long long cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void no_log(void *data, const void *message) {
    (void)data;
    (void)message;
}

int main(int argc, char **argv) {
    if (argc != 2) fail("usage: rival RULES", NULL);
    const char *error = NULL;
    ModSecurity *engine = msc_init();
    msc_set_connector_info(engine, "portcullis-benchmark");
    msc_set_log_cb(engine, no_log);
    RulesSet *rules = msc_create_rules_set();
    if (msc_rules_add_file(rules, argv[1], &error) < 0) fail(argv[1], error);
    printf("ready %s\n", msc_who_am_i(engine));
    fflush(stdout);

    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        char *word = strtok(line, " \n");
        if (!word) continue;
        long count = strtol(word, NULL, 10);
        struct request *requests = NULL;
        size_t n = 0;
        while ((word = strtok(NULL, " \n"))) {
            requests = realloc(requests, (n + 1) * sizeof *requests);
            if (!requests) fail("out of memory", NULL);
            requests[n++] = read_request(word);
        }
        if (!n || count < 1) fail("a line needs a count and files", NULL);
        long blocked = 0;
        long long began = cpu_ns();
        for (long i = 0; i < count; i++) blocked += run(engine, rules, &requests[(size_t)i % n]);
        printf("%lld %ld\n", (cpu_ns() - began) / count, blocked);
        fflush(stdout);
        for (size_t i = 0; i < n; i++) free(requests[i].text);
        free(requests);
    }
    return 0;
}
