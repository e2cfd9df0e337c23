/* Lets one call fail that writes a file: for `faults_local.py`, which loads it by LD_PRELOAD.

   Counted is every call of this process, by Python or a library, that makes, opens for writing, writes, syncs,
   cuts, copies or renames a file or makes a folder or link. Pipes, sockets and devices do not count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long failing; /* the number of the call that fails, from 1; 0: none */
static int listing = -1; /* file descriptor of the list of calls; -1: no list */

void fail_call(long number, int list)
{
    failing = number;
    listing = list;
    calls = 0;
}

static int fails(const char *call, const char *path)
{
    if (!failing && listing < 0)
        return 0;
    if (!strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6))
        return 0;
    long number = ++calls;
    if (listing >= 0) {
        char line[4200];
        int size = snprintf(line, sizeof line, "%s %s\n", call, path);
        syscall(SYS_write, listing, line, size);
    }
    if (number != failing)
        return 0;
    errno = strstr(call, "sync") ? EIO : ENOSPC;
    return 1;
}

static int fd_fails(const char *call, int fd)
{
    struct stat about;
    char link[64], path[4097];
    if (!failing && listing < 0)
        return 0;
    if (fd == listing || fstat(fd, &about) || !(S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size < 0 ? 0 : size] = 0;
    return fails(call, path);
}

#define NEXT(type, name, ...) \
    static type (*next)(__VA_ARGS__); \
    if (!next) \
        next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define BY_FD(type, name, failed, declared, ...) \
    type name declared \
    { \
        static type(*next) declared; \
        if (!next) \
            next = (type(*) declared)dlsym(RTLD_NEXT, #name); \
        return fd_fails(#name, fd) ? (type)(failed) : next(__VA_ARGS__); \
    }

#define BY_PATH(name, declared, ...) \
    int name declared \
    { \
        static int(*next) declared; \
        if (!next) \
            next = (int(*) declared)dlsym(RTLD_NEXT, #name); \
        return fails(#name, path) ? -1 : next(__VA_ARGS__); \
    }

BY_FD(ssize_t, write, -1, (int fd, const void *data, size_t size), fd, data, size)
BY_FD(ssize_t, pwrite, -1, (int fd, const void *data, size_t size, off_t at), fd, data, size, at)
BY_FD(ssize_t, pwrite64, -1, (int fd, const void *data, size_t size, off64_t at), fd, data, size, at)
BY_FD(ssize_t, writev, -1, (int fd, const struct iovec *parts, int count), fd, parts, count)
BY_FD(ssize_t, sendfile, -1, (int fd, int from, off_t *at, size_t size), fd, from, at, size)
BY_FD(ssize_t, sendfile64, -1, (int fd, int from, off64_t *at, size_t size), fd, from, at, size)
BY_FD(int, fsync, -1, (int fd), fd)
BY_FD(int, fdatasync, -1, (int fd), fd)
BY_FD(int, ftruncate, -1, (int fd, off_t size), fd, size)
BY_FD(int, ftruncate64, -1, (int fd, off64_t size), fd, size)
BY_PATH(mkdir, (const char *path, mode_t mode), path, mode)
BY_PATH(rename, (const char *from, const char *path), from, path)
BY_PATH(symlink, (const char *to, const char *path), to, path)
BY_PATH(link, (const char *from, const char *path), from, path)

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        NEXT(int, #name, const char *, int, ...); \
        return (flags & (O_WRONLY | O_RDWR | O_CREAT)) && fails("open", path) ? -1 : next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) \
    { \
        NEXT(FILE *, #name, const char *, const char *); \
        return strpbrk(mode, "wa+") && fails("fopen", path) ? NULL : next(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    NEXT(size_t, "fwrite", const void *, size_t, size_t, FILE *);
    return fd_fails("fwrite", fileno(file)) ? 0 : next(data, size, count, file);
}

int fflush(FILE *file)
{
    NEXT(int, "fflush", FILE *);
    return file && __fwriting(file) && fd_fails("fflush", fileno(file)) ? EOF : next(file);
}

int fclose(FILE *file)
{
    NEXT(int, "fclose", FILE *);
    int failed = __fwriting(file) && fd_fails("fclose", fileno(file)), number = errno;
    int closed = next(file);
    if (failed)
        errno = number;
    return failed ? EOF : closed;
}
