// An echo with libuv, on one thread. Built where libuv is installed; see the Makefile.

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

struct answer {
  uv_write_t request;
  uv_buf_t buffer;
};

static void fail(const char *what, int result) {
  fprintf(stderr, "libuv-echo: %s: %s\n", what, uv_strerror(result));
  exit(1);
}

static void closed(uv_handle_t *client) { free(client); }

static void end(uv_stream_t *client) {
  if (!uv_is_closing((uv_handle_t *)client)) uv_close((uv_handle_t *)client, closed);
}

// One buffer for all: what it holds is sent, or copied, before it is used again.
static char shared[65536];

static void allocate(uv_handle_t *client, size_t suggested, uv_buf_t *buffer) {
  (void)client, (void)suggested;
  *buffer = uv_buf_init(shared, sizeof shared);
}

static void written(uv_write_t *request, int status) {
  struct answer *answer = (struct answer *)request;
  if (status < 0) end(request->handle);
  free(answer->buffer.base);
  free(answer);
}

static void received(uv_stream_t *client, ssize_t count, const uv_buf_t *buffer) {
  if (count < 0) {
    end(client);
    return;
  }
  uv_buf_t bytes = uv_buf_init(buffer->base, count);
  int sent = uv_try_write(client, &bytes, 1);
  if (sent == count) return;
  if (sent < 0) sent = 0;
  struct answer *answer = malloc(sizeof *answer);
  answer->buffer = uv_buf_init(malloc(count - sent), count - sent);
  for (ssize_t i = sent; i < count; i++) answer->buffer.base[i - sent] = bytes.base[i];
  int result = uv_write(&answer->request, client, &answer->buffer, 1, written);
  if (result) fail("uv_write", result);
}

static void connected(uv_stream_t *listener, int status) {
  if (status < 0) return;
  uv_tcp_t *client = malloc(sizeof *client);
  uv_tcp_init(listener->loop, client);
  if (uv_accept(listener, (uv_stream_t *)client)) {
    end((uv_stream_t *)client);
    return;
  }
  uv_tcp_nodelay(client, 1);
  uv_read_start((uv_stream_t *)client, allocate, received);
}

int main(int argc, char **argv) {
  int port = argc == 2 ? atoi(argv[1]) : 0;
  if (port < 1 || port > 65535) {
    fputs("usage: libuv-echo PORT, a number from 1 to 65535\n", stderr);
    return 2;
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", port, &address);
  int result = uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0);
  if (!result) result = uv_listen((uv_stream_t *)&listener, 4096, connected);
  if (result) fail("cannot listen", result);
  return uv_run(loop, UV_RUN_DEFAULT);
}
