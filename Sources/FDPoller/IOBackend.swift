/// How loops wait for the kernel, chosen when a poller is made. Its raw values are what command
/// lines take.
public enum IOBackend: String, Sendable, CaseIterable {
  /// epoll(7).
  case epoll
  /// io_uring(7): the changes of a tick are told in the system call that waits.
  case uring = "io_uring"
  /// io_uring where all that it takes is there, otherwise epoll, with one line in the log that says
  /// why.
  case automatic = "auto"
}
