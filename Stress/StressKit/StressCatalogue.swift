/// All scenarios there are.
public enum StressCatalogue {
  /// In the order in which they are listed and run.
  public static let scenarios: [any StressScenario.Type] = [
    TakeoverClose.self,
    Arena.self,
    ListenerUnbind.self,
    ReuseNumber.self,
    Triangle.self,
    PingPong.self,
    TimeoutStorm.self,
    RstStorm.self,
    SlowReader.self,
    FDExhaustion.self,
    ProxyChain.self,
    LiveMoves.self,
    MassClose.self,
    ShutdownMidway.self,
    Coordination.self,
  ]
}
