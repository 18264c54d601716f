/// What ends a measurement or the whole bench, in one line: what, where, and what to do.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
