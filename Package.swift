// swift-tools-version: 6.2

import PackageDescription

/// Every target speaks the same dialect: Swift 6 with its checks for data races, explicit `any`,
/// and imports that do not leak.
let dialect: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "swift-fd-poller",
  products: [
    .library(name: "FDPoller", targets: ["FDPoller"]),
    .library(name: "FDNet", targets: ["FDNet"]),
    .library(name: "FDAtomics", targets: ["FDAtomics"]),
    .library(name: "Interleave", targets: ["Interleave"]),
    .library(name: "StressKit", targets: ["FDAtomics", "FDDelays", "StressKit"]),
    .executable(name: "fdproxy", targets: ["fdproxy"]),
  ],
  traits: [
    .trait(
      name: "SpinDelays",
      description: "Threads can be made to lose time between atomic steps, to bring races about.")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
  ],
  targets: [
    .target(
      name: "CShims", path: "CShims", exclude: ["fibers"],
      linkerSettings: [.linkedLibrary("uring")]),
    .target(name: "CFibers", path: "CShims/fibers"),
    .target(
      name: "Interleave", dependencies: ["CFibers", "FDAtomics"], swiftSettings: dialect),
    .target(name: "FDAtomics", swiftSettings: dialect + [.strictMemorySafety()]),
    .target(
      name: "FDOwnership",
      dependencies: ["FDAtomics"],
      swiftSettings: dialect + [.strictMemorySafety()]),
    // Linked into the libraries only with the trait.
    .target(name: "FDDelays", dependencies: ["CShims", "FDAtomics"], swiftSettings: dialect),
    .target(
      name: "FDPoller",
      dependencies: [
        "CShims", "FDAtomics", "FDOwnership",
        .target(name: "FDDelays", condition: .when(traits: ["SpinDelays"])),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect),
    .target(
      name: "FDNet",
      dependencies: [
        "CShims", "FDAtomics", "FDPoller",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect),
    .executableTarget(
      name: "fdproxy",
      dependencies: [
        "FDNet", "FDPoller",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect),
    // The fast paths of the ownership word, each under a name that a disassembler finds.
    .executableTarget(
      name: "fdprobes", dependencies: ["FDOwnership", "FDPoller"], path: "Tests/fdprobes",
      swiftSettings: dialect),
    // A server that runs out of descriptors, in a process of its own.
    .executableTarget(
      name: "fdchild", dependencies: ["FDNet", "FDPoller"], path: "Tests/fdchild",
      swiftSettings: dialect),
    .target(
      name: "StressKit",
      dependencies: [
        "CShims", "FDAtomics", "FDDelays", "FDNet", "FDOwnership", "FDPoller", "SplitMask",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Stress/StressKit", swiftSettings: dialect),
    // The published protocol with three words, and its defects: a subject for tests, never used.
    .target(
      name: "SplitMask", dependencies: ["FDAtomics", "FDOwnership", "FDPoller"],
      path: "Stress/SplitMask",
      swiftSettings: dialect),
    .target(
      name: "ProofKit",
      dependencies: ["FDAtomics", "FDNet", "FDOwnership", "FDPoller", "Interleave", "SplitMask"],
      path: "Stress/ProofKit", swiftSettings: dialect),
    .executableTarget(
      name: "fdstress",
      dependencies: [
        "CShims", "FDAtomics", "FDDelays", "FDPoller", "Interleave", "ProofKit", "SplitMask",
        "StressKit",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Stress/fdstress", swiftSettings: dialect),
    // Takes a system call away from the process.
    .target(name: "CSeccomp", path: "Tests/CSeccomp"),
    .target(
      name: "TestKit",
      dependencies: ["CShims", .product(name: "SystemPackage", package: "swift-system")],
      path: "Tests/TestKit", swiftSettings: dialect),
    .testTarget(
      name: "FDOwnershipTests", dependencies: ["FDAtomics", "FDOwnership", "TestKit"],
      swiftSettings: dialect),
    .testTarget(
      name: "FDPollerTests",
      dependencies: [
        "CSeccomp", "CShims", "FDAtomics", "FDOwnership", "FDPoller", "TestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
    .testTarget(
      name: "FDNetTests",
      dependencies: [
        "CShims", "FDNet", "FDOwnership", "FDPoller", "TestKit",
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
    .testTarget(
      name: "InterleaveTests", dependencies: ["FDAtomics", "FDOwnership", "Interleave", "TestKit"],
      swiftSettings: dialect),
    .testTarget(
      name: "ProofKitTests",
      dependencies: ["FDOwnership", "Interleave", "ProofKit", "SplitMask", "TestKit"],
      swiftSettings: dialect),
    .testTarget(
      name: "StressKitTests",
      dependencies: ["FDAtomics", "FDDelays", "FDPoller", "SplitMask", "StressKit", "TestKit"],
      swiftSettings: dialect),
    .testTarget(
      name: "fdproxyTests",
      dependencies: [
        "FDNet", "FDPoller", "TestKit",
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
  ]
)
