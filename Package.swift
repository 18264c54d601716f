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
    .library(name: "FDAsync", targets: ["FDAsync"]),
    .library(name: "FDHTTP", targets: ["FDHTTP"]),
    .library(name: "FDCoordination", targets: ["FDCoordination"]),
    .library(name: "FDService", targets: ["FDService"]),
    .library(name: "FDAtomics", targets: ["FDAtomics"]),
    .library(name: "Interleave", targets: ["Interleave"]),
    .library(name: "StressKit", targets: ["FDAtomics", "FDDelays", "StressKit"]),
    // For the micro-benchmarks, which are a package of their own so that nobody resolves theirs.
    .library(name: "Workloads", targets: ["Workloads"]),
    .executable(name: "fdproxy", targets: ["fdproxy"]),
    .executable(name: "fdtunnel", targets: ["fdtunnel"]),
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
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
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
    .target(
      name: "FDAsync",
      dependencies: [
        "CShims", "FDNet", "FDPoller",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect),
    .target(
      name: "FDCoordination",
      dependencies: [
        "CShims", "FDAtomics", "FDNet", "FDPoller",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect),
    .target(
      name: "FDService",
      dependencies: [
        "FDAsync", "FDPoller",
        .product(name: "CoreMetrics", package: "swift-metrics"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: dialect),
    .target(
      name: "FDHTTP",
      dependencies: [
        "FDNet", "FDPoller",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect + [.enableExperimentalFeature("Lifetimes")]),
    .target(
      name: "ReverseProxy",
      dependencies: [
        "CShims", "FDHTTP", "FDNet", "FDPoller",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect + [.enableExperimentalFeature("Lifetimes")]),
    .executableTarget(
      name: "fdproxy",
      dependencies: [
        "FDHTTP", "FDNet", "FDPoller", "ReverseProxy",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: dialect),
    .executableTarget(
      name: "fdtunnel",
      dependencies: [
        "CShims", "FDAsync", "FDCoordination", "FDHTTP", "FDNet", "FDPoller",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: dialect + [.enableExperimentalFeature("Lifetimes")]),
    // The fast paths of the ownership word, each under a name that a disassembler finds.
    .executableTarget(
      name: "fdprobes", dependencies: ["FDOwnership", "FDPoller"], path: "Tests/fdprobes",
      swiftSettings: dialect),
    // A server that runs out of descriptors, in a process of its own.
    .executableTarget(
      name: "fdchild", dependencies: ["FDNet", "FDPoller"], path: "Tests/fdchild",
      swiftSettings: dialect),
    // A peer of multiplexed connections in a process of its own, which a test can stop.
    .executableTarget(
      name: "fdpeer", dependencies: ["FDCoordination", "FDNet", "FDPoller"], path: "Tests/fdpeer",
      swiftSettings: dialect),
    .target(
      name: "StressKit",
      dependencies: [
        "CShims", "FDAsync", "FDAtomics", "FDCoordination", "FDDelays", "FDHTTP", "FDNet",
        "FDOwnership", "FDPoller", "ReverseProxy", "SplitMask",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
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
      dependencies: [
        "FDAtomics", "FDCoordination", "FDNet", "FDOwnership", "FDPoller", "Interleave",
        "SplitMask",
      ],
      path: "Stress/ProofKit", swiftSettings: dialect),
    // What micro-benchmarks and the budget of instructions repeat.
    .target(
      name: "Workloads",
      dependencies: [
        "CShims", "FDAsync", "FDHTTP", "FDNet", "FDOwnership", "FDPoller",
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Stress/Workloads", swiftSettings: dialect),
    .executableTarget(
      name: "fdstress",
      dependencies: [
        "CShims", "FDAtomics", "FDDelays", "FDPoller", "Interleave", "ProofKit", "SplitMask",
        "StressKit", "Workloads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Stress/fdstress", swiftSettings: dialect),
    // Measures what the package in Benchmarks builds. It is here for its tests, and needs no peer.
    .executableTarget(
      name: "fdbench",
      dependencies: [
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Benchmarks/Sources/fdbench", swiftSettings: dialect),
    // Takes a system call away from the process.
    .target(name: "CSeccomp", path: "Tests/CSeccomp"),
    .target(
      name: "TestKit",
      dependencies: ["CShims", .product(name: "SystemPackage", package: "swift-system")],
      path: "Tests/TestKit", swiftSettings: dialect),
    // What holds for the framing whatever the bytes are, for the tests and for Fuzzing.
    .target(
      name: "HTTPProperties", dependencies: ["FDHTTP"], path: "Fuzzing/Sources/HTTPProperties",
      swiftSettings: dialect),
    .testTarget(
      name: "FDAsyncTests",
      dependencies: [
        "FDAsync", "FDNet", "FDPoller", "TestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
    .testTarget(
      name: "FDCoordinationTests",
      dependencies: [
        "CShims", "FDCoordination", "FDNet", "FDPoller", "TestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
    .testTarget(
      name: "FDHTTPTests", dependencies: ["FDHTTP", "HTTPProperties", "TestKit"],
      swiftSettings: dialect),
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
      name: "ReverseProxyTests",
      dependencies: [
        "CShims", "FDHTTP", "FDNet", "FDPoller", "ReverseProxy", "TestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect + [.enableExperimentalFeature("Lifetimes")]),
    .testTarget(
      name: "FDServiceTests",
      dependencies: [
        "FDAsync", "FDNet", "FDPoller", "FDService", "TestKit",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "MetricsTestKit", package: "swift-metrics"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: dialect),
    .testTarget(
      name: "StressKitTests",
      dependencies: ["FDAtomics", "FDDelays", "FDPoller", "SplitMask", "StressKit", "TestKit"],
      swiftSettings: dialect),
    .testTarget(name: "fdbenchTests", dependencies: ["fdbench"], swiftSettings: dialect),
    .testTarget(
      name: "WorkloadsTests", dependencies: ["TestKit", "Workloads"], swiftSettings: dialect),
    .testTarget(
      name: "fdproxyTests",
      dependencies: [
        "fdproxy", "FDHTTP", "FDNet", "FDPoller", "ReverseProxy", "TestKit",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
    .testTarget(
      name: "fdtunnelTests",
      dependencies: [
        "fdtunnel", "FDCoordination", "FDNet", "FDPoller", "TestKit",
        .product(name: "SystemPackage", package: "swift-system"),
      ], swiftSettings: dialect),
  ]
)

// Sanitizers do not see what some tests are about: `make` names those, and they are not built then.
let leftOut = Context.environment["FD_LEFT_OUT"]?.split(separator: " ") ?? []
package.targets.removeAll { leftOut.contains($0.name[...]) }
