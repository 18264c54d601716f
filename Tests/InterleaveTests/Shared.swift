import Interleave

// Model types are not copyable; these are what closures can share.

final class Word {
  let word: ModelWord

  init(_ value: UInt64 = 0, _ name: String = "") { word = ModelWord(value, named: name) }
}

final class Lock {
  let mutex: ModelMutex

  init(_ name: String = "mutex") { mutex = ModelMutex(named: name) }
}

final class Sleep {
  let parker: ModelParker

  init(_ name: String = "parker") { parker = ModelParker(named: name) }
}
