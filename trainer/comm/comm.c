/* SPDX-License-Identifier: MIT */
/* Sums, gathering and broadcasts over a ring of processes, whatever carries the bytes.
 *
 * A ring and not the carrier's own reduction, for two reasons: each element is added up once, in one place, in
 * the order of the ring, so that all processes have the same bits by construction; and every wait is a wait of
 * ours, which ends when a process dies or the time is up. Large sums go round twice in pieces (reduce-scatter,
 * all-gather): each process sends 2 (w - 1) / w of the data, the least that is possible. Small ones are gathered
 * whole and added in the order of ranks, which takes half as many steps. */
#include "trainer/comm/comm.h"

#include "trainer/comm/launch.h"

#include "common/err.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMALL_BYTES = 16 << 10, PIECE_BYTES = 1 << 20 };

static const char *const kind_names[] = {"auto", "none", "mpi", "tcp", NULL};

#define FIELD(name) offsetof(struct fv_comm_settings, name)
const struct fv_opt fv_comm_opts[] = {
    {.name = "comm",
     .type = FV_OPT_CHOICE,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(kind),
     .choices = kind_names,
     .help = "how processes started together talk: as mpirun, torchrun or srun started them, not "
             "at all, by MPI, or by TCP (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)"},
    {.name = "comm-timeout",
     .type = FV_OPT_REAL,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(timeout_s),
     .metavar = "SECONDS",
     .help = "give up when another process has not been heard of for so long",
     .min = 1,
     .max = 86400},
    {.name = NULL},
};
#undef FIELD

void fv_comm_defaults(struct fv_comm_settings *s)
{
    *s = (struct fv_comm_settings){.kind = "auto", .timeout_s = 300};
}

static const struct fv_comm_kind *find_kind(const char *name)
{
    for (int i = 0; fv_comm_kinds[i]; i++)
        if (strcmp(fv_comm_kinds[i]->name, name) == 0)
            return fv_comm_kinds[i];
    return NULL;
}

static int choose_kind(const char *asked, const struct fv_comm_kind **kind)
{
    const char *name = strcmp(asked, "auto") == 0 ? fv__launch_kind() : asked;
    *kind = find_kind(name);
    if (*kind)
        return 0;
    if (strcmp(name, "mpi") != 0)
        return fv_err(FV_EUSAGE, "--comm %s: this build has no such way to talk", name);
    if (fv__launch_mpi_world() > 1)
        return fv_err(
            FV_EUNSUPPORTED,
            "mpirun started %d processes, but this build has no MPI: build it where MPI is "
            "installed (libopenmpi-dev), or start it by torchrun or srun",
            fv__launch_mpi_world());
    return fv_err(FV_EUNSUPPORTED, "--comm mpi: this build has no MPI: build it where MPI is "
                                   "installed (libopenmpi-dev)");
}

/* Which machine this is, and which of its processors are ours. */
struct seat {
    uint64_t machine, processors;
};

static struct seat find_seat(void)
{
    struct seat seat = {0};
    char text[128] = "";
    cpu_set_t set;
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    gethostname(text, sizeof text - 1);
    seat.machine = fv_comm_hash(0, text, strlen(text));
    if (f) {
        if (fgets(text, sizeof text, f))
            seat.machine = fv_comm_hash(seat.machine, text, strlen(text));
        fclose(f);
    }
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        seat.processors = fv_comm_hash(0, &set, sizeof set);
    return seat;
}

static int find_neighbours(struct fv_comm *c)
{
    const struct seat mine = find_seat();
    struct seat *all = malloc((size_t)c->world * sizeof *all);
    if (!all)
        return fv_err(FV_ENOMEM, "out of memory");
    int rc = fv_comm_gather(c, &mine, sizeof mine, all);
    c->local_rank = c->local_world = c->sharers = 0;
    for (int r = 0; rc == 0 && r < c->world; r++) {
        const int here = all[r].machine == mine.machine;
        c->local_rank += here && r < c->rank;
        c->local_world += here;
        c->sharers += here && all[r].processors == mine.processors;
    }
    free(all);
    return rc;
}

int fv_comm_open(struct fv_comm **out, const struct fv_comm_settings *s)
{
    const struct fv_comm_kind *kind;
    *out = NULL;
    FV_TRY(choose_kind(s->kind, &kind));
    FV_TRY(kind->open(out, s));
    (*out)->kind = kind;
    (*out)->timeout_s = s->timeout_s;
    int rc = find_neighbours(*out);
    if (rc < 0)
        fv_comm_abort(out, fv_err_text());
    else
        fv__launch_local_rank(&(*out)->local_rank);
    return rc;
}

static void close_comm(struct fv_comm **c, const char *why)
{
    if (!c || !*c)
        return;
    free((*c)->scratch);
    (*c)->kind->close(*c, why);
    *c = NULL;
}

void fv_comm_close(struct fv_comm **c)
{
    if (c && *c && fv_comm_barrier(*c) < 0)
        close_comm(c, fv_err_text());
    close_comm(c, NULL);
}

void fv_comm_abort(struct fv_comm **c, const char *why)
{
    char text[FV_ERR_TEXT_MAX];
    strncpy(text, why && *why ? why : "no reason was given", sizeof text - 1);
    text[sizeof text - 1] = '\0';
    close_comm(c, text);
}

static int need_scratch(struct fv_comm *c, size_t bytes)
{
    if (bytes <= c->scratch_bytes)
        return 0;
    void *p = realloc(c->scratch, bytes);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for sums over %d processes", c->world);
    c->scratch = p;
    c->scratch_bytes = bytes;
    return 0;
}

static int shift(struct fv_comm *c, const void *send, size_t out, void *receive, size_t in)
{
    c->shifts++;
    return c->kind->shift(c, send, out, receive, in);
}

int fv_comm_gather(struct fv_comm *c, const void *mine, size_t bytes, void *all)
{
    unsigned char *to = all;
    const int w = fv_comm_world(c), rank = fv_comm_rank(c);
    memcpy(to + (size_t)rank * bytes, mine, bytes);
    for (int s = 0; s < w - 1; s++) {
        const size_t give = (size_t)((rank - s + w) % w), take = (size_t)((rank - s - 1 + w) % w);
        FV_TRY(shift(c, to + give * bytes, bytes, to + take * bytes, bytes));
    }
    return 0;
}

int fv_comm_barrier(struct fv_comm *c)
{
    unsigned char one = 0;
    if (fv_comm_world(c) == 1)
        return 0;
    FV_TRY(need_scratch(c, (size_t)c->world));
    return fv_comm_gather(c, &one, 1, c->scratch);
}

int fv_comm_watch(struct fv_comm *c)
{
    return fv_comm_world(c) > 1 && c->kind->watch ? c->kind->watch(c) : 0;
}

/* Piece k is on its way to rank r + 1 while piece k + 1 comes from rank r - 1. */
int fv_comm_broadcast(struct fv_comm *c, void *data, size_t bytes)
{
    unsigned char *at = data;
    const int w = fv_comm_world(c), rank = fv_comm_rank(c);
    size_t give = 0, take = 0; /* bytes given and taken */
    if (w == 1)
        return 0;
    if (rank == 0)
        take = bytes;
    while (give < bytes || take < bytes) {
        const size_t come = bytes - take < PIECE_BYTES ? bytes - take : PIECE_BYTES;
        const size_t ready = take - give < PIECE_BYTES ? take - give : PIECE_BYTES;
        const size_t go = rank == w - 1 ? 0 : ready;
        FV_TRY(shift(c, at + give, go, at + take, come));
        take += come;
        give += rank == w - 1 ? take - give : go;
    }
    return 0;
}

/* One element type each: what differs is the addition. */
static void add_floats(void *to, const void *from, size_t n)
{
    float *restrict a = to;
    const float *restrict b = from;
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

static void add_doubles(void *to, const void *from, size_t n)
{
    double *restrict a = to;
    const double *restrict b = from;
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

typedef void adder(void *to, const void *from, size_t n);

static int sum_small(struct fv_comm *c, void *v, size_t n, size_t item, adder *add)
{
    FV_TRY(need_scratch(c, (size_t)c->world * n * item));
    FV_TRY(fv_comm_gather(c, v, n * item, c->scratch));
    memcpy(v, c->scratch, n * item);
    for (int r = 1; r < c->world; r++)
        add(v, (const unsigned char *)c->scratch + (size_t)r * n * item, n);
    return 0;
}

/* Piece k is complete at rank k - 1, having begun at rank k. */
static int sum_large(struct fv_comm *c, void *v, size_t n, size_t item, adder *add)
{
    const int w = c->world;
    unsigned char *at = v;
    FV_TRY(need_scratch(c, (n / (size_t)w + 1) * item));
#define BEGIN(k) (n * (size_t)(((k) % w + w) % w) / (size_t)w)
#define COUNT(k) (n * ((size_t)(((k) % w + w) % w) + 1) / (size_t)w - BEGIN(k))
    for (int s = 0; s < w - 1; s++) {
        const int give = c->rank - s, take = give - 1;
        FV_TRY(
            shift(c, at + BEGIN(give) * item, COUNT(give) * item, c->scratch, COUNT(take) * item));
        add(at + BEGIN(take) * item, c->scratch, COUNT(take));
    }
    for (int s = 0; s < w - 1; s++) {
        const int give = c->rank + 1 - s, take = give - 1;
        FV_TRY(shift(c, at + BEGIN(give) * item, COUNT(give) * item, at + BEGIN(take) * item,
                     COUNT(take) * item));
    }
#undef BEGIN
#undef COUNT
    return 0;
}

static int sum(struct fv_comm *c, void *v, size_t n, size_t item, adder *add)
{
    if (fv_comm_world(c) == 1 || n == 0)
        return 0;
    return n * item <= SMALL_BYTES ? sum_small(c, v, n, item, add) : sum_large(c, v, n, item, add);
}

int fv_comm_sum_floats(struct fv_comm *c, float *v, size_t n)
{
    return sum(c, v, n, sizeof *v, add_floats);
}

int fv_comm_sum_doubles(struct fv_comm *c, double *v, size_t n)
{
    return sum(c, v, n, sizeof *v, add_doubles);
}

uint64_t fv_comm_hash(uint64_t seed, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ 0xcbf29ce484222325;
    uint32_t word;
    for (; bytes >= sizeof word; bytes -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        h = (h ^ word) * 0x100000001b3;
        h ^= h >> 32;
    }
    for (; bytes > 0; bytes--)
        h = (h ^ *p++) * 0x100000001b3;
    return h;
}

int fv_comm_same(struct fv_comm *c, const char *what, const void *data, size_t bytes)
{
    const uint64_t mine = fv_comm_hash(bytes, data, bytes);
    if (fv_comm_world(c) == 1)
        return 0;
    uint64_t *all = malloc((size_t)c->world * sizeof *all);
    int rc = all ? fv_comm_gather(c, &mine, sizeof mine, all)
                 : fv_err(FV_ENOMEM, "out of memory for %d processes", c->world);
    for (int r = 1; rc == 0 && r < c->world; r++)
        if (all[r] != all[0])
            rc = fv_err(FV_EINVAL, "%s of rank %d and of rank 0 differ: start all alike", what, r);
    free(all);
    return rc;
}
