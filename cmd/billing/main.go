// Billing keeps the ledger and the account balances, folded from orders and
// payments.
package main

import (
	"firehose"
	"firehose/consumers/billing"
)

func main() { firehose.Main(billing.Service()) }
