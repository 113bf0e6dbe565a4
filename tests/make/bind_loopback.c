/* Keeps a server that has no bind option on 127.0.0.1 (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>
int bind(int s, const struct sockaddr *a, socklen_t l){
  static int (*r)(int,const struct sockaddr*,socklen_t); if(!r) r=dlsym(RTLD_NEXT,"bind");
  if(a&&a->sa_family==AF_INET){ struct sockaddr_in b=*(struct sockaddr_in*)a; if(b.sin_addr.s_addr==0) b.sin_addr.s_addr=htonl(INADDR_LOOPBACK); return r(s,(struct sockaddr*)&b,l);} return r(s,a,l);}
