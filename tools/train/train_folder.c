/* SPDX-License-Identifier: MIT */
#include "tools/train/train_folder.h"

#include "tools/train/train_ranks.h"

#include "common/err.h"
#include "common/fs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *train_folder_db(const char *text)
{
    const char *line = strncmp(text, "db = ", 5) == 0 ? text : strstr(text, "\ndb = ");
    if (!line)
        return NULL;
    line += *line == '\n' ? 6 : 5;
    return strndup(line, strcspn(line, "\n"));
}

int train_folder_settings(const char *run, struct fv_comm *comm, char **text)
{
    size_t n;
    int rc = 0;
    char *path = fv_format("%s/settings.txt", run);
    if (!path)
        return fv_err(FV_ENOMEM, "out of memory");
    if (fv_comm_rank(comm) == 0)
        rc = fv_file_read(path, 1 << 20, text, &n);
    if (rc == FV_ENOTFOUND)
        rc = fv_err(FV_ENOTFOUND, "%s: there is no run to resume (no settings.txt in it)", run);
    free(path);
    FV_TRY(rc);
    FV_TRY(train_ranks_share_text(comm, text));
    char *whole = fv_train_settings_complete(*text);
    free(*text);
    *text = whole;
    return whole ? 0 : fv_err(FV_ENOMEM, "out of memory");
}

/* runs/<data set>-<first free number>. mkdir itself decides who gets a number. */
static char *new_run_folder(const char *db)
{
    const char *name = strrchr(db, '/') ? strrchr(db, '/') + 1 : db;
    const char *dot = strrchr(name, '.');
    const int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    if (fv_mkdirs("runs") < 0)
        return NULL;
    for (int i = 1; i < 1000000; i++) {
        char *folder = fv_format("runs/%.*s-%d", length, name, i);
        if (!folder || mkdir(folder, 0777) == 0)
            return folder;
        const int taken = errno == EEXIST;
        if (!taken)
            fv_err_errno(FV_EIO, "%s: cannot create", folder);
        free(folder);
        if (!taken)
            return NULL;
    }
    fv_err(FV_EEXIST, "runs: there is no free number for %.*s", length, name);
    return NULL;
}

/* There is nothing at this path, or an empty folder. */
static int is_vacant(const char *path)
{
    DIR *dir = opendir(path);
    int entries = 0;
    if (!dir)
        return errno == ENOENT;
    while (entries <= 2 && readdir(dir))
        entries++;
    closedir(dir);
    return entries <= 2; /* itself and the one above */
}

char *train_folder_name(const char *resume, const char *out, const char *db,
                        const struct fv_comm *comm)
{
    if (fv_comm_rank(comm) > 0)
        return strdup("the run folder");
    if (resume)
        return strdup(resume);
    if (!out)
        return new_run_folder(db);
    if (!is_vacant(out)) {
        fv_err(FV_EEXIST, "%s: is there already and not empty: take another --out, or --resume it",
               out);
        return NULL;
    }
    return strdup(out);
}

int train_folder_print_result(const char *folder, const struct fv_train_result *r)
{
    char *page = fv_format("%s/report.html", folder);
    if (!page)
        return fv_err(FV_ENOMEM, "out of memory");
    printf("run         %s\n", folder);
    printf("trained     %llu epoch%s  %s/last.safetensors\n", (unsigned long long)r->epochs,
           r->epochs == 1 ? "" : "s", folder);
    if (r->cls_epoch > 0)
        printf("validation  %.2f %% right at epoch %llu  %s/best_cls.safetensors\n",
               r->best_acc * 100, (unsigned long long)r->cls_epoch, folder);
    if (r->ver_epoch > 0)
        printf("verify      EER %.2f %%, AUC %.4f at epoch %llu  %s/best_ver.safetensors\n",
               r->best_eer * 100, r->best_auc, (unsigned long long)r->ver_epoch, folder);
    if (access(page, F_OK) == 0)
        printf("report      %s\n", page);
    free(page);
    return 0;
}
