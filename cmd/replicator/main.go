// Replicator keeps a table of each entity topic that it is given.
package main

import "firehose/consumers/replicator"

func main() { replicator.Program().Main() }
