package producer

// NewCommand is Command with its own standard streams.
var NewCommand = newCommand
