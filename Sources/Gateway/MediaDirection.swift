internal import MediaPlane

/// The media plane's direction; SDP has one of the same name.
typealias MediaDirection = Direction
