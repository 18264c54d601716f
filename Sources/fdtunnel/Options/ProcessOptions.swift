public import ArgumentParser
public import FDPoller
import Logging

extension IOBackend: ExpressibleByArgument {}

/// What server and agent have in common.
struct ProcessOptions: ParsableArguments {
  @Option(
    help: help(
      "After how much silence the other side is asked whether it is there, and how long each of "
        + "two answers may take; after three times this it is given up (default: 15).", "time"),
    transform: Value.positiveTime)
  var heartbeat: Duration = .seconds(15)

  @Option(
    help: help("How long streams may go on after SIGTERM (default: 30).", "time"),
    transform: Value.time)
  var drain: Duration = .seconds(30)

  @Option(help: help("How many threads (default: 1).", "number"), transform: Value.count(1...1008))
  var threads: Int = 1

  @Option(help: "What the threads wait with; auto is io_uring where it can be had.")
  var io = IOBackend.epoll

  @Option(
    help: help("What is logged, from trace to critical (default: info).", "level"),
    transform: Value.logLevel)
  var logLevel: Logger.Level = .info

  var pollerConfiguration: PollerConfiguration {
    var configuration = PollerConfiguration(threads: threads)
    configuration.io = io
    configuration.name = "fdtunnel"
    configuration.logger = .toStandardError(label: "fd-poller", level: logLevel)
    return configuration
  }
}
