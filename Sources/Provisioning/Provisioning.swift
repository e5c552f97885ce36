// The room's first stone: see the pages beside it.
