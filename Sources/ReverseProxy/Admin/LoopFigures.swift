import FDPoller

/// What the loops of a poller count, and the threads outside.
struct LoopFigures {
  private let snapshots: [LoopSnapshot]

  init(_ snapshot: PollerSnapshot) { snapshots = snapshot.loops + [snapshot.outside] }

  private static let counters: [(counter: PollerCounter, name: String, help: String)] = [
    (.ticks, "ticks", "Rounds of the loop."),
    (.sleeps, "sleeps", "Rounds that waited for the kernel."),
    (.events, "events", "Events that were handed out."),
    (.eventsStale, "events_stale", "Events for a descriptor that was gone."),
    (.eventsLost, "events_lost", "Events for a descriptor that another loop had taken over."),
    (.eventsWhileInside, "events_inside", "Events for a descriptor that the loop was inside of."),
    (.descriptorsInserted, "descriptors_inserted", "Descriptors that were taken in."),
    (.disowned, "descriptors_disowned", "Descriptors that left open."),
    (.rawCloses, "descriptors_closed_elsewhere", "Descriptors closed behind the poller's back."),
    (.deletesAlreadyGone, "deletes_gone", "Deletes of a descriptor that was gone already."),
    (.wakeUpsSent, "wakeups_sent", "Messages that had to wake the loop that they went to."),
    (.wakeUpsSuppressed, "wakeups_spared", "Messages to a loop that was awake."),
    (.timersFired, "timers_fired", "Timers that came due."),
    (.longTicks, "long_ticks", "Rounds that were longer than the limit."),
    (
      .spinningDescriptors, "spinning_descriptors", "Descriptors with a million events for nothing."
    ),
    (.kernelPollerRebuilds, "rebuilds", "Times that the kernel's poller was made anew."),
  ]

  private static let ringCounters: [(counter: PollerCounter, name: String, help: String)] = [
    (.ringSubmissions, "ring_submissions", "Requests that io_uring was given."),
    (.ringCompletions, "ring_completions", "Answers of io_uring."),
    (.ringOverflows, "ring_overflows", "Waits after which answers had no room in the ring."),
    (.ringRearms, "ring_rearms", "Requests that io_uring ended, and that were made again."),
    (.ringFullQueues, "ring_full_queues", "Times that io_uring had no room for a request."),
  ]

  var figures: [Figure] {
    var figures = Self.counters.map(figure)
    if snapshots.contains(where: { $0[.ringSubmissions] > 0 }) {
      figures += Self.ringCounters.map(figure)
    }
    figures += [
      Figure(
        .counter, "loop_takeovers",
        "Attempts to take a parked descriptor over, its own loop's too, by what came of it.",
        split(
          "result", [("won", .takeoversWon), ("busy", .takeoversBusy), ("gone", .takeoversGone)])
      ),
      Figure(
        .counter, "loop_closes", "Descriptors that were closed, by whose part it was.",
        split("by", [("deleter", .closesByDeleter), ("last_leaver", .closesByLastLeaver)])),
      Figure(
        .gauge, "loop_longest_tick_seconds", "The longest round so far.",
        snapshots.map {
          Figure.Sample(
            labels: [("loop", $0.name)], number: .nanoseconds($0[.longestTickNanoseconds]))
        }),
    ]
    return figures
  }

  private func figure(_ counter: PollerCounter, _ name: String, _ help: String) -> Figure {
    Figure(
      .counter, "loop_" + name, help,
      snapshots.map {
        Figure.Sample(labels: [("loop", $0.name)], number: .count(Int(clamping: $0[counter])))
      })
  }

  private func split(
    _ label: StaticString, _ counters: [(value: String, counter: PollerCounter)]
  ) -> [Figure.Sample] {
    snapshots.flatMap { loop in
      counters.map {
        Figure.Sample(
          labels: [("loop", loop.name), (label, $0.value)],
          number: .count(Int(clamping: loop[$0.counter])))
      }
    }
  }
}
