import Gateway

@main
struct Program {
  static func main() {}
}
