import FDPoller

/// Listeners that all loops of a group share are deleted from inside their handlers, from those
/// loops outside them, and from threads that are no loops, all at once, and opened again at the same
/// address, while clients connect all the time.
public final class ListenerUnbind: StressScenario {
  /// As on the command line.
  public static let name = "listener-unbind"
  /// What it does, in one line.
  public static let summary =
    "shared listeners are deleted from inside and outside at once, and opened again under clients"

  private let hotel: Hotel
  private var stage: Stage { hotel.stage }

  /// Makes the poller; its threads start with `begin`.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { hotel = try Hotel(stage) }

  /// Opens the doors, and starts the clients and those who close doors.
  public func begin() throws {
    try hotel.poller.start()
    for door in hotel.doors { door.open(notAfter: nil) }
    hotel.startForeigners()
  }

  /// Whoever was let in has gone.
  public func calm() {
    stage.wait(for: "guests stay for ever", until: { hotel.guests.live == 0 })
    stage.drainMail(of: hotel.poller)
  }

  /// Nobody comes any more.
  public func audit() { stage.auditSilence(of: hotel.poller) }

  /// Closes the doors for good.
  public func end() {
    // One that is closed already may be about to be opened again.
    stage.wait(for: "a door can be neither opened nor closed") {
      for door in hotel.doors { door.close() }
      return hotel.departures.live == 0 && hotel.doors.allSatisfy(\.isShut)
    }
    for door in hotel.doors where !stage.comes({ door.isRefusing }) {
      stage.violate("a port refuses when its listener is closed", "\(door.address)")
    }
    stage.stop(hotel.poller)
    hotel.dissolve()
  }
}
