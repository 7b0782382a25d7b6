/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/quota.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/cryptography.h"
#include "base/deadline.h"
#include "base/process.h"
#include "base/text.h"
#include "base/trace.h"
#include "cloud/quota_file.h"
#include "cloud/quota_queue.h"

#define MILLISECOND_NS INT64_C(1000000)

/* Of the quota, the most that refreshes get where a vault holds far more than is in use. */
enum { VAULT_REFRESH_PART = 5 };

enum { NAME_SIZE = 6 + 2 * SHA256_DIGEST_LENGTH + 1 }; /* "quota-" and a digest */

struct quota {
    const struct settings *settings;
    struct quota_pace pace;
    char file_name[NAME_SIZE];
};

/* One look at the queue, while it is locked. */
struct visit {
    const struct quota *quota;
    bool background;
    bool is_admitted; /* of the background: other calls like it leave room for it */
    int64_t deadline;
    int64_t place_ns; /* on the queue's clock */
    int64_t wait_ns;  /* nanoseconds until the place comes, at least */
    bool refused;     /* the place comes too late */
};

/* Returns whether it changed the queue. */
typedef bool visit_queue(struct visit *visit, struct quota_queue *queue, int64_t now_ns);

/* The queue of this process, for when no file can be used: one for all accounts. */
static struct quota_queue own_queue;
static pthread_mutex_t own_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool alone; /* the last look was at own_queue */

static void take_part_in_fork(void)
{
    static struct fork_participant participant = {.lock = &own_lock};

    process_register(&participant);
}

static int64_t boot_time(void)
{
    struct timespec time;

    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * SECOND_NS + time.tv_nsec;
}

/* A digest, because an account's name and a URL are not a file name. Returns 0 on failure. */
static int name_file(const char *account, const char *endpoint, char name[NAME_SIZE])
{
    OSSL_LIB_CTX *context = cryptography_context(NULL);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *both;
    int done;

    if (asprintf(&both, "%s %s", account, endpoint) < 0)
        return 0;
    done = context && EVP_Q_digest(context, "SHA256", NULL, both, strlen(both), digest, NULL);
    free(both);
    if (done)
        text_write_hexadecimal(stpcpy(name, "quota-"), digest, sizeof(digest));
    return done;
}

struct quota *quota_open(const struct settings *settings, const char *endpoint)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct quota *quota = calloc(1, sizeof(*quota));

    pthread_once(&once, take_part_in_fork);
    if (!quota || !name_file(settings->quota_account, endpoint, quota->file_name)) {
        free(quota);
        return NULL;
    }
    quota->settings = settings;
    quota->pace.step_ns = (int64_t)((double)SECOND_NS / settings->quota_rate);
    quota->pace.burst = settings->quota_burst;
    quota->pace.background_step_ns =
            quota->pace.step_ns * (settings->vault_path ? VAULT_REFRESH_PART : 1);
    return quota;
}

void quota_free(struct quota *quota)
{
    free(quota);
}

/* Returns false with errno set if the file cannot be used; then nobody else sees a change. */
static bool visit_file(enum quota_folder folder, visit_queue *work, struct visit *visit)
{
    struct quota_queue queue;
    int file = quota_file_open(folder, visit->quota->file_name, &queue);
    bool done = true;
    int64_t now_ns;

    if (file < 0)
        return false;
    /* After locking: what another process wrote is then never later than now. */
    now_ns = boot_time();
    if (!quota_queue_is_sound(&queue, now_ns))
        queue = (struct quota_queue){0};
    if (work(visit, &queue, now_ns))
        done = quota_file_write(file, &queue);
    quota_file_close(file);
    return done;
}

static void visit_own_queue(visit_queue *work, struct visit *visit)
{
    pthread_mutex_lock(&own_lock);
    work(visit, &own_queue, boot_time());
    pthread_mutex_unlock(&own_lock);
}

static void visit_any(visit_queue *work, struct visit *visit)
{
    for (int folder = 0; folder < QUOTA_FOLDER_COUNT; folder++) {
        if (visit_file((enum quota_folder)folder, work, visit)) {
            atomic_store(&alone, false);
            return;
        }
    }
    if (!atomic_exchange(&alone, true))
        trace(visit->quota->settings, TRACE_ERROR,
                "quota not shared with other processes: no file can be used in "
                "$XDG_RUNTIME_DIR/aliyun-iot or /tmp/aliyun-iot-UID: %s",
                strerror(errno));
    visit_own_queue(work, visit);
}

/* Fills in when the visit's place comes. */
static void estimate_wait(struct visit *visit, const struct quota_queue *queue, int64_t now_ns)
{
    int64_t end_ns = now_ns + deadline_left_ms(visit->deadline) * MILLISECOND_NS;

    visit->wait_ns = quota_queue_wait(queue, visit->place_ns, now_ns);
    visit->refused = (visit->background && (visit->wait_ns > 0 || !visit->is_admitted)) ||
                     !quota_queue_reaches(queue, visit->place_ns, end_ns);
}

static bool take_place(struct visit *visit, struct quota_queue *queue, int64_t now_ns)
{
    const struct quota_pace *pace = &visit->quota->pace;

    visit->place_ns = quota_queue_place(queue, pace, now_ns);
    visit->is_admitted = quota_queue_admits_background(queue, now_ns);
    estimate_wait(visit, queue, now_ns);
    if (!visit->refused)
        quota_queue_take(queue, pace, visit->background, now_ns);
    return !visit->refused;
}

/* The queue may have been slowed down since the place was taken. */
static bool look_again(struct visit *visit, struct quota_queue *queue, int64_t now_ns)
{
    estimate_wait(visit, queue, now_ns);
    return false;
}

static int refuse_place(const struct visit *visit, struct aliyun_iot_error **error)
{
    if (visit->background && visit->wait_ns == 0)
        return error_set(error, ALIYUN_IOT_REASON_THROTTLED,
                "the refresh leaves the account's quota of calls to others for now");
    return error_set(error, ALIYUN_IOT_REASON_THROTTLED,
            "the queue for the account's quota of calls (%.1f a second) is %.1f seconds long, "
            "longer than this call may take; try again later, or raise timeout in aliyun-iot.conf",
            visit->quota->settings->quota_rate, (double)visit->wait_ns / (double)SECOND_NS);
}

int quota_wait(
        struct quota *quota, bool background, int64_t deadline, struct aliyun_iot_error **error)
{
    struct visit visit = {.quota = quota, .background = background, .deadline = deadline};

    for (visit_any(take_place, &visit); !visit.refused; visit_any(look_again, &visit)) {
        int64_t wait_ms = (visit.wait_ns + MILLISECOND_NS - 1) / MILLISECOND_NS;

        if (wait_ms == 0)
            return 1;
        trace(quota->settings, TRACE_DEBUG, "quota wait_ms=%lld", (long long)wait_ms);
        process_sleep(wait_ms);
    }
    return refuse_place(&visit, error);
}

static bool slow_down(struct visit *visit, struct quota_queue *queue, int64_t now_ns)
{
    (void)visit;
    return quota_queue_slow_down(queue, now_ns);
}

void quota_throttled(struct quota *quota)
{
    struct visit visit = {.quota = quota};

    visit_any(slow_down, &visit);
    trace(quota->settings, TRACE_ERROR, "quota throttled by the service: the queue slows down%s",
            atomic_load(&alone) ? "; it is not shared with other processes" : "");
}
