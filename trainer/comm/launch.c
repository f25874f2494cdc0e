/* SPDX-License-Identifier: MIT */
/* torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT and TORCHELASTIC_RUN_ID; the agent of newer
 * ones keeps MASTER_PORT for itself and says so by TORCHELASTIC_USE_AGENT_STORE, so rank 0 then takes the next
 * one.
 *
 * Slurm's srun sets SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID and SLURM_STEP_NODELIST for the processes
 * of a step. (SLURM_NTASKS alone is set in a batch script too, which is a single process.) Rank 0 is then on the
 * first node of the list, and its port is a function of the job's number, unless MASTER_ADDR and MASTER_PORT say
 * otherwise. */
#include "trainer/comm/launch.h"

#include "trainer/comm/comm.h"

#include "common/err.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANKS = 65536, FIRST_PORT = 20000, PORTS = 20000 };

static const char *first_set(const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return names[i];
    }
    return NULL;
}

/* A whole number of 0 .. most in that variable. */
static int read_number(const char *name, int most, int *out)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return fv_err(FV_EUSAGE,
                      "%s is not set in the environment: torchrun and srun set what "
                      "--comm tcp needs",
                      name);
    const long value = strtol(text, &end, 10);
    if (end == text || *end || value < 0 || value > most)
        return fv_err(FV_EUSAGE, "%s is '%.40s' in the environment: a number of 0 .. %d is wanted",
                      name, text, most);
    *out = (int)value;
    return 0;
}

static int number_or(const char *name, int otherwise)
{
    int n;
    const char *text = getenv(name);
    return text && *text && read_number(name, MOST_RANKS, &n) == 0 ? n : otherwise;
}

int fv__launch_mpi_world(void)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
                                        NULL};
    const char *name = first_set(sizes);
    return name ? number_or(name, 0) : 0;
}

const char *fv__launch_kind(void)
{
    if (fv__launch_mpi_world() > 0)
        return "mpi";
    if (number_or("WORLD_SIZE", 1) > 1 && getenv("RANK"))
        return "tcp";
    if (number_or("SLURM_STEP_NUM_TASKS", 1) > 1 && getenv("SLURM_PROCID"))
        return "tcp";
    return "none";
}

void fv__launch_local_rank(int *local)
{
    static const char *const names[] = {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID",
                                        NULL};
    const char *name = strcmp(fv__launch_kind(), "none") != 0 ? first_set(names) : NULL;
    int n;
    if (name && read_number(name, MOST_RANKS, &n) == 0)
        *local = n;
}

/* "gpu[07-09,12],cpu1" -> "gpu07" */
static int first_node(const char *list, char *host, size_t room)
{
    const size_t head = strcspn(list, "[,");
    size_t digits = 0;
    if (list[head] == '[')
        while (isdigit((unsigned char)list[head + 1 + digits]))
            digits++;
    if (head + digits == 0 || head + digits >= room || (list[head] == '[' && digits == 0))
        return fv_err(FV_EUSAGE,
                      "SLURM_STEP_NODELIST is '%.80s': set MASTER_ADDR to the machine of "
                      "rank 0",
                      list);
    memcpy(host, list, head);
    memcpy(host + head, list + head + 1, digits);
    host[head + digits] = '\0';
    return 0;
}

static int read_host(struct fv__launch *l)
{
    const char *host = getenv("MASTER_ADDR"), *nodes = getenv("SLURM_STEP_NODELIST");
    if (host && *host) {
        if (strlen(host) >= sizeof l->host)
            return fv_err(FV_EUSAGE, "MASTER_ADDR is too long to be the name of a machine");
        strcpy(l->host, host);
        return 0;
    }
    if (nodes && *nodes)
        return first_node(nodes, l->host, sizeof l->host);
    return fv_err(FV_EUSAGE, "MASTER_ADDR is not set in the environment: it names the machine of "
                             "rank 0; torchrun sets it");
}

static int read_port(struct fv__launch *l)
{
    const char *port = getenv("MASTER_PORT"), *store = getenv("TORCHELASTIC_USE_AGENT_STORE");
    const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
    if (!(port && *port) && job && *job) {
        const unsigned long number =
            strtoul(job, NULL, 10) * 7 + strtoul(step ? step : "0", NULL, 10);
        l->port = FIRST_PORT + (int)(number % PORTS);
        return 0;
    }
    FV_TRY(read_number("MASTER_PORT", 65534, &l->port));
    if (l->port < 1)
        return fv_err(FV_EUSAGE, "MASTER_PORT is 0: rank 0 must be found at a port known to all");
    l->port += store && strcmp(store, "True") == 0;
    return 0;
}

int fv__launch_read(struct fv__launch *l)
{
    static const char *const ranks[] = {"RANK", "SLURM_PROCID", NULL};
    static const char *const worlds[] = {"WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS",
                                         NULL};
    const char *rank = first_set(ranks), *world = first_set(worlds);
    *l = (struct fv__launch){.rank = 0};
    FV_TRY(read_number(rank ? rank : ranks[0], MOST_RANKS - 1, &l->rank));
    FV_TRY(read_number(world ? world : worlds[0], MOST_RANKS, &l->world));
    if (l->rank >= l->world)
        return fv_err(FV_EUSAGE, "%s is %d and %s is %d: ranks count from 0 and end below it", rank,
                      l->rank, world, l->world);
    const char *run = getenv("TORCHELASTIC_RUN_ID"), *job = getenv("SLURM_JOB_ID");
    const char *step = getenv("SLURM_STEP_ID"), *attempt = getenv("TORCHELASTIC_RESTART_COUNT");
    const char *const parts[] = {run, job, step, attempt};
    for (int i = 0; i < 4; i++)
        l->id = fv_comm_hash(l->id, parts[i] ? parts[i] : "", parts[i] ? strlen(parts[i]) : 0);
    if (l->world == 1)
        return 0;
    FV_TRY(read_host(l));
    return read_port(l);
}
