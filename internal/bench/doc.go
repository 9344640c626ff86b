// Package bench holds what this system costs against doing the same by hand:
//
//	encode, decode   codec and event against bare twmb/avro and goavro
//	publish          firehose.Publisher against raw franz-go
//	apply            a service with a replica against a bare program's upserts
//	seen             facts with and without remembering their IDs
//
// It has nothing but benchmarks. One iteration of each is a round, in which all
// sides take their turn, so that a machine that is busy with other things slows
// all of them; the ratio of each round is taken, and `make bench` prints their
// median and spread at its end.
package bench
