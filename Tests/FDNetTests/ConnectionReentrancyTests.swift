import FDPoller
import TestKit
import Testing

@testable import FDNet

/// Everything that a user may do, in every state and from every call of the handler.
@Suite("Calls in every state", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionReentrancyTests {
  enum Action: CaseIterable, Sendable {
    case write
    case pauseReading
    case resumeReading
    case finishOutput
    case close
    case abort
    case move
    case setHandler

    func perform(on connection: Connection, _ recorder: Recorder) {
      switch self {
      case .write: connection.write("more")
      case .pauseReading: connection.pauseReading()
      case .resumeReading: connection.resumeReading()
      case .finishOutput: connection.finishOutput()
      case .close: connection.close()
      case .abort: connection.abort()
      case .move: connection.move(to: connection.loop)
      case .setHandler: connection.setHandler(recorder)
      }
    }

    /// Whether it ends the connection when it is open and its peer is silent.
    var ends: Bool { self == .abort }
  }

  enum State: CaseIterable, Sendable {
    case open
    case paused
    case inputEnded
    case outputQueued
    case outputFinishing
    case outputShut
    case closingWithOutput
    case closing
    case ended

    func reach(_ connection: Connection) {
      let block = [UInt8](repeating: 1, count: 3 << 20)
      switch self {
      case .open, .inputEnded: break
      case .paused: connection.pauseReading()
      case .outputQueued: connection.write(block)
      case .outputFinishing:
        connection.write(block)
        connection.finishOutput()
      case .outputShut: connection.finishOutput()
      case .closingWithOutput:
        connection.write(block)
        connection.close()
      case .closing: connection.close()
      case .ended: connection.end(.aborted)
      }
    }
  }

  @Test("every call is harmless in every state", arguments: State.allCases)
  func everyPair(state: State) async throws {
    try await withTestedPoller(threads: 1) { poller in
      for action in Action.allCases {
        for second in Action.allCases {
          let recorder = Recorder.keepingOpen()
          let link = try await Link(on: poller.loops[0], recorder, sendBuffer: 4096)
          if state == .inputEnded {
            link.peer.finish()
            #expect(await eventually { recorder.log.inputEnds == 1 })
          }
          let closes = try await link.call { connection in
            state.reach(connection)
            action.perform(on: connection, recorder)
            second.perform(on: connection, recorder)
            return recorder.log.closes
          }
          #expect(closes.isEmpty, "closed is never told within a call")
          let mustEnd = state == .ended || action.ends || second.ends
          if !mustEnd { try await link.call { $0.abort() } }
          #expect(await eventually { recorder.isClosed }, "\(state) \(action) \(second)")
          try await link.call { connection in
            #expect(connection.write("x") == .refused)
            action.perform(on: connection, Recorder())
            connection.pauseReading()
            connection.resumeReading()
            connection.finishOutput()
            connection.close()
            connection.abort()
          }
          #expect(recorder.log.closes.count == 1, "\(state) \(action) \(second)")
        }
      }
    }
  }

  enum Call: CaseIterable, Sendable {
    case received
    case inputEnded
    case drained
    case moved
    case closed
  }

  @Test("a handler may do anything from inside every call", arguments: Call.allCases)
  func fromInside(call: Call) async throws {
    try await withTestedPoller(threads: 2) { poller in
      for action in Action.allCases {
        let recorder = Recorder.keepingOpen()
        let isTold = Guarded(false)
        let perform = { (connection: Connection) in
          // Once: otherwise a write that drains writes again for ever.
          guard
            !isTold.withLock({ told in
              defer { told = true }
              return told
            })
          else { return }
          action.perform(on: connection, recorder)
          #expect(recorder.log.closes.count == (call == .closed ? 1 : 0))
        }
        switch call {
        case .received: recorder.onReceived = { perform($1) }
        case .inputEnded: recorder.onInputEnded = perform
        case .drained: recorder.onDrained = perform
        case .moved: recorder.onMoved = perform
        case .closed: recorder.onClosed = { connection, _ in perform(connection) }
        }
        let settings = ConnectionSettings(highWatermark: 1000, lowWatermark: 0)
        let link = try await Link(
          on: poller.loops[0], recorder, settings: settings, sendBuffer: 4096, receiveBuffer: 4096)
        switch call {
        case .received: try link.peer.send([UInt8](repeating: 5, count: 200_000))
        case .inputEnded: link.peer.finish()
        case .drained:
          let written = 1 << 20
          try await link.call { $0.write([UInt8](repeating: 1, count: written)) }
          _ = try await Background { try? link.peer.receive(exactly: written) }.value()
        case .moved: try await link.call { $0.move(to: poller.loops[1]) }
        case .closed: try await link.call { $0.abort() }
        }
        #expect(await eventually { isTold.value }, "\(call) \(action)")
        let loop = poller.loops[call == .moved ? 1 : 0]
        // After a move to where it is, nothing is under way.
        try await loop.call { if !link.connection.isClosing { link.connection.abort() } }
        link.peer.close()
        #expect(await eventually { recorder.isClosed }, "\(call) \(action)")
        try await loop.call {}
        #expect(recorder.log.closes.count == 1, "\(call) \(action)")
      }
    }
  }
}
