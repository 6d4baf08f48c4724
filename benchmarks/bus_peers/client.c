/* What a bus is compared with: an MQTT client in C, one thread, no envelope, no types.
 *
 * client HOST PORT USER LISTEN MODE [TOPIC], the password in MQTT_PASSWORD. It subscribes to LISTEN, prints `ready`, and then
 *   echo TOPIC   sends every payload back to TOPIC;
 *   ask TOPIC    for each line `IN_FLIGHT SECONDS` of standard input keeps so many requests to TOPIC under way;
 *   send         for each line `TOPIC FRAMES` sends so many frames there, at most WINDOW ahead of what LISTEN confirms;
 *   count TOPIC  for each line `FRAMES`, which it repeats, counts so many frames, and confirms every BATCH of them to TOPIC.
 * `ask`, `send` and `count` answer each line with a line of JSON.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD 300
#define FRAME 1280
#define WINDOW 1000
#define BATCH 100
#define MOST_IN_FLIGHT 1024
#define MOST_SAMPLES (1 << 20)

/* What we use of libmosquitto 2.0: its header is in a package that a machine which runs the bus does not need. */
struct mosquitto;
typedef struct mqtt5__property mosquitto_property;
struct mosquitto_message {
    int mid;
    char *topic;
    void *payload;
    int payloadlen;
    int qos;
    bool retain;
};
enum { OPTION_PROTOCOL_VERSION = 1, OPTION_TCP_NODELAY = 11, PROTOCOL_V5 = 5, USER_PROPERTY = 38 };
int mosquitto_lib_init(void);
struct mosquitto *mosquitto_new(const char *id, bool clean_session, void *user_data);
int mosquitto_int_option(struct mosquitto *, int option, int value);
int mosquitto_username_pw_set(struct mosquitto *, const char *user, const char *password);
int mosquitto_connect(struct mosquitto *, const char *host, int port, int keepalive);
int mosquitto_subscribe(struct mosquitto *, int *mid, const char *filter, int qos);
int mosquitto_publish(struct mosquitto *, int *mid, const char *topic, int size, const void *payload, int qos, bool retain);
int mosquitto_publish_v5(struct mosquitto *, int *mid, const char *topic, int size, const void *payload, int qos,
                         bool retain, const mosquitto_property *);
int mosquitto_property_add_string_pair(mosquitto_property **, int identifier, const char *name, const char *value);
void mosquitto_property_free_all(mosquitto_property **);
int mosquitto_loop(struct mosquitto *, int timeout_ms, int unused);
int mosquitto_socket(struct mosquitto *);
const char *mosquitto_strerror(int error);
void mosquitto_connect_callback_set(struct mosquitto *, void (*)(struct mosquitto *, void *, int));
void mosquitto_subscribe_callback_set(struct mosquitto *, void (*)(struct mosquitto *, void *, int, int, const int *));
void mosquitto_message_callback_set(struct mosquitto *,
                                    void (*)(struct mosquitto *, void *, const struct mosquitto_message *));

struct request {
    uint32_t number;
    uint32_t slot;
};

static struct mosquitto *client;
static const char *listen_to, *user;
static bool subscribed;

/* What has arrived and is not looked at yet: inside a callback the library would put off what is sent. */
static struct request arrived[MOST_IN_FLIGHT];
static int arrivals;
static long received;

static void check(int error, const char *what) {
    if (error) {
        fprintf(stderr, "%s: %s\n", what, mosquitto_strerror(error));
        exit(1);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static double processor_time(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void on_connect(struct mosquitto *connected, void *unused, int refused) {
    (void)unused;
    if (refused) {
        fprintf(stderr, "the broker refuses %s: %d\n", user, refused);
        exit(1);
    }
    check(mosquitto_subscribe(connected, NULL, listen_to, 1), "subscribe");
}

static void on_subscribe(struct mosquitto *connected, void *unused, int mid, int count, const int *granted) {
    (void)connected, (void)unused, (void)mid;
    if (count != 1 || granted[0] > 2) {
        fprintf(stderr, "the broker refuses %s to %s\n", listen_to, user);
        exit(1);
    }
    subscribed = true;
}

static void on_message(struct mosquitto *connected, void *unused, const struct mosquitto_message *message) {
    (void)connected, (void)unused;
    received++;
    if (message->payloadlen == PAYLOAD && arrivals < MOST_IN_FLIGHT)
        memcpy(&arrived[arrivals++], message->payload, sizeof(struct request));
}

static void turn(int timeout_ms) {
    check(mosquitto_loop(client, timeout_ms, 1), "loop");
}

static void say(const char *topic, struct request request) {
    static char payload[PAYLOAD];
    memcpy(payload, &request, sizeof request);
    check(mosquitto_publish(client, NULL, topic, PAYLOAD, payload, 1, false), "publish");
}

static void echo(const char *topic) {
    for (;;) {
        turn(1000);
        for (int i = 0; i < arrivals; i++)
            say(topic, arrived[i]);
        arrivals = 0;
    }
}

static int by_size(const void *one, const void *other) {
    float difference = *(const float *)one - *(const float *)other;
    return (difference > 0) - (difference < 0);
}

static void ask(const char *topic, int in_flight, double seconds) {
    static float samples[MOST_SAMPLES];
    static uint32_t number;
    double asked[MOST_IN_FLIGHT], began = now(), time = began, processor = processor_time();
    int answered = 0, waiting = in_flight;

    if (in_flight < 1 || in_flight > MOST_IN_FLIGHT)
        exit(2);
    arrivals = 0;
    for (int slot = 0; slot < in_flight; slot++) {
        asked[slot] = now();
        say(topic, (struct request){number++, slot});
    }
    while (waiting) {
        turn(1000);
        for (int i = 0; i < arrivals; i++) {
            uint32_t slot = arrived[i].slot;
            time = now();
            if (answered < MOST_SAMPLES)
                samples[answered++] = time - asked[slot];
            if (time - began < seconds) {
                asked[slot] = now();
                say(topic, (struct request){number++, slot});
            } else {
                waiting--;
            }
        }
        arrivals = 0;
    }
    processor = processor_time() - processor;
    qsort(samples, answered, sizeof *samples, by_size);
    printf("{\"p50_ms\": %.6f, \"p99_ms\": %.6f, \"per_s\": %.1f, \"cpu_us\": %.3f}\n", samples[answered / 2] * 1e3,
           samples[(int)(answered * 0.99)] * 1e3, answered / (time - began), processor / answered * 1e6);
}

/* What is sent meanwhile leaves together: a sender that wakes the broker for each frame takes its time from whom it measures. */
static void corked(int corked) {
    setsockopt(mosquitto_socket(client), IPPROTO_TCP, TCP_CORK, &corked, sizeof corked);
}

static void send_frames(const char *topic, long frames) {
    static char audio[FRAME];
    long sent = 0;

    received = 0;
    while (received * BATCH < frames) {
        corked(true);
        while (sent < frames && sent - received * BATCH < WINDOW) {
            char envelope[512];
            mosquitto_property *properties = NULL;
            snprintf(envelope, sizeof envelope,
                     "{\"id\":\"c%08lx\",\"type\":\"stt.transcribe_part\",\"v\":1,\"ts\":%.6f,\"source\":\"satellite/c\","
                     "\"reply_to\":\"%s\",\"data\":{\"seq\":%ld,\"satellite\":\"bench\",\"language\":null}}",
                     sent, now(), listen_to, sent);
            check(mosquitto_property_add_string_pair(&properties, USER_PROPERTY, "mynah", envelope), "property");
            check(mosquitto_publish_v5(client, NULL, topic, FRAME, audio, 0, false, properties), "publish");
            mosquitto_property_free_all(&properties);
            sent++;
        }
        corked(false);
        turn(1000);
    }
    printf("{\"sent\": %ld}\n", sent);
}

static void count_frames(const char *topic, long frames) {
    double began = 0, processor = 0;
    long confirmed = 0, before = 0;

    received = 0;
    printf("{\"expected\": %ld}\n", frames);
    while (received < frames) {
        turn(1000);
        if (received && !began) {
            began = now(), processor = processor_time();
            before = received;
        }
        for (; received / BATCH > confirmed; confirmed++)
            check(mosquitto_publish(client, NULL, topic, 2, "{}", 0, false), "publish");
    }
    printf("{\"per_s\": %.1f, \"cpu_us\": %.3f}\n", (received - before) / (now() - began),
           (processor_time() - processor) / (received - before) * 1e6);
}

int main(int count, char **words) {
    if (count < 6)
        return 2;
    const char *mode = words[5], *topic = count > 6 ? words[6] : "";
    char line[512], target[400];
    double seconds;
    long frames;
    int in_flight;

    user = words[3];
    listen_to = words[4];
    mosquitto_lib_init();
    client = mosquitto_new(NULL, true, NULL);
    mosquitto_int_option(client, OPTION_PROTOCOL_VERSION, PROTOCOL_V5);
    mosquitto_int_option(client, OPTION_TCP_NODELAY, 1);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    check(mosquitto_username_pw_set(client, user, getenv("MQTT_PASSWORD")), "user");
    check(mosquitto_connect(client, words[1], atoi(words[2]), 120), "connect");
    while (!subscribed)
        turn(1000);
    setlinebuf(stdout);
    puts("ready");
    if (!strcmp(mode, "echo"))
        echo(topic);
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(mode, "ask") && sscanf(line, "%d %lf", &in_flight, &seconds) == 2)
            ask(topic, in_flight, seconds);
        else if (!strcmp(mode, "send") && sscanf(line, "%399s %ld", target, &frames) == 2)
            send_frames(target, frames);
        else if (!strcmp(mode, "count") && sscanf(line, "%ld", &frames) == 1)
            count_frames(topic, frames);
        else
            return 2;
    }
    return 0;
}
