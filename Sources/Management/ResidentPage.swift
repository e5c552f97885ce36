internal import HTTP
package import Web

/// The page by which residents are rung, see, answer and open: a handful of files that the program carries. Nothing is
/// fetched from anywhere else, so it works with the Internet down, and its policy forbids it.
package enum ResidentPage {
  /// What the page may do: its own scripts, styles and pictures, questions to this gateway, and nothing inline.
  static let policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    + "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    + "frame-ancestors 'none'"

  private static let fields: HTTPFields = [
    "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY",
  ]

  private static let script = "text/javascript; charset=utf-8"

  /// Path, content and type of each file.
  private static var files: [(path: String, bytes: [UInt8], type: String)] {
    [
      ("/", PackageResources.index_html, "text/html; charset=utf-8"),
      ("/page.css", PackageResources.page_css, "text/css; charset=utf-8"),
      ("/page.js", PackageResources.page_js, script), ("/path.js", PackageResources.path_js, script),
      ("/view.js", PackageResources.view_js, script), ("/words.js", PackageResources.words_js, script),
      ("/ring.js", PackageResources.ring_js, script), ("/talk.js", PackageResources.talk_js, script),
      ("/worker.js", PackageResources.worker_js, script),
      ("/icon.svg", PackageResources.icon_svg, "image/svg+xml"),
      ("/manifest.json", PackageResources.manifest_json, "application/manifest+json"),
    ]
  }

  package static func addRoutes(to router: inout Router) {
    for (path, bytes, type) in files {
      let file = StaticFile(bytes, type: type, fields: fields)
      router.add(
        Route(.get, path, access: .open) { request, responder in
          responder.reply(file.reply(to: request.head))
        })
    }
  }
}
