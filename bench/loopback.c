/* Preloaded into Janus, which takes no loopback address for a candidate: with it loopback looks like any interface. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>

int getifaddrs(struct ifaddrs **list) {
    int (*original)(struct ifaddrs **) = (int (*)(struct ifaddrs **))dlsym(RTLD_NEXT, "getifaddrs");
    int result = original(list);
    for (struct ifaddrs *one = result ? 0 : *list; one; one = one->ifa_next) one->ifa_flags &= ~IFF_LOOPBACK;
    return result;
}
