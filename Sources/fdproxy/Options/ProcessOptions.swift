import ArgumentParser
import FDPoller
import Logging
import ReverseProxy

/// The process: what holds beside a configuration file, too.
struct ProcessOptions: ParsableArguments {
  @Option(help: help("How many threads.", "number", default: "1"), transform: Value.threads)
  var threads: Int?

  @Option(
    help: help(
      "What the threads wait with; auto is io_uring where it can be had.", default: "epoll"))
  var io: IOBackend?

  @Option(
    help: help("What is logged, from trace to critical.", "level", default: "info"),
    transform: Value.logLevel)
  var logLevel: Logger.Level?

  @Option(
    help: help(
      "A Unix socket through which another process takes the listening sockets over, and through "
        + "which this one takes those of a process that is there.", "path"),
    transform: Value.path)
  var takeover: String?

  var overrides: Settings.Overrides {
    Settings.Overrides(threads: threads, io: io, logLevel: logLevel, takeoverPath: takeover)
  }
}

/// Where the threads are.
struct PlacementOptions: ParsableArguments {
  @Option(
    name: [.customLong("thread-groups"), .customLong("groups")],
    help: help("In how many groups the threads are; as few as possible if not given.", "number"),
    transform: Value.threads)
  var threadGroups: Int?

  @Option(
    parsing: .upToNextOption,
    help: help("Pin the threads to these processors, in turn.", "processor"),
    transform: Value.processor)
  var pin: [Int] = []
}
