/// A load that tries to break something, and the ledgers that tell if it has.
///
/// A run makes it, begins the load, lets it storm, and then asks it to come to rest, to look at what
/// is left, and to take everything down: in this order, on one thread that is no event loop. What
/// the scenario finds wrong it tells its stage, at any time and from any thread. After a thread has
/// hung or a ledger is broken the steps that would only wait for that are left out.
public protocol StressScenario: AnyObject, SendableMetatype {
  /// As on the command line.
  static var name: String { get }
  /// What it does, in one line.
  static var summary: String { get }

  /// What stands in for it when `CustodyProtocol.splitMask` guards descriptors; nil, as for all
  /// that have a poller, if nothing can.
  static var ofSplitMask: (any StressScenario.Type)? { get }

  /// Brings about what the process keeps from its first run on, before what it has open is looked
  /// at. On a thread that is no event loop.
  static func prepareProcess()

  /// Prepares a run.
  ///
  /// - Parameter stage: what the run offers: parameters, pollers, threads, ledgers.
  /// - Throws: what makes the parameters impossible. Nothing is left behind then.
  init(_ stage: Stage) throws

  /// Begins the load and returns.
  ///
  /// - Throws: what the kernel refuses.
  func begin() throws

  /// Begins nothing new, and returns when what was under way has come to rest, or when
  /// `Stage.wait` says that it never will. `Stage.isStormy` is false by now, and the stage's own
  /// threads have ended.
  func calm()

  /// Looks for what the load may have left behind, while everything is still up.
  func audit()

  /// Takes everything down. The stage stops its pollers after that.
  func end()
}

extension StressScenario {
  /// What has a poller runs on the poller's word.
  public static var ofSplitMask: (any StressScenario.Type)? { nil }

  /// Most bring about nothing of that kind.
  public static func prepareProcess() {}
}
