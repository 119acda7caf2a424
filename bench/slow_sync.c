/* A disk whose syncs take longer: LD_PRELOAD this, and say how long in SLOW_SYNC_US. Used by bench/writers.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_a_little(void) {
    const char *microseconds = getenv("SLOW_SYNC_US");
    if (microseconds) usleep((useconds_t)atoi(microseconds));
}

int fdatasync(int file) {
    static int (*through)(int);
    if (!through) through = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_a_little();
    return through(file);
}

int fsync(int file) {
    static int (*through)(int);
    if (!through) through = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_a_little();
    return through(file);
}
