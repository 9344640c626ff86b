// Inventory keeps the stock of each product, folded from stock movements.
package main

import (
	"firehose"
	"firehose/consumers/inventory"
)

func main() { firehose.Main(inventory.Service()) }
