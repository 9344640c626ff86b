// Check renders the overlays that it is given and refuses what a Kubernetes API
// server would refuse, without a server: it runs the server's own code in its
// own process, with the real definitions of the resources that Strimzi, KEDA and
// the Prometheus operator bring, and then looks at how the objects fit together,
// and whether our programs know the settings that they are given.
//
//	go run . ../overlays/production
//
// It is a module of its own, so that Kubernetes is no part of ours.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "deploy-check: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	cache := flags.String("cache", ".cache", "`directory` of the definitions that were fetched")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("want the directories to check")
	}
	definitions, err := Fetch(ctx, *cache, out)
	if err != nil {
		return err
	}
	programs, err := Build(ctx, *cache)
	if err != nil {
		return err
	}
	checker, err := NewChecker(definitions, programs)
	if err != nil {
		return err
	}
	for _, dir := range flags.Args() {
		objects, err := Render(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if problems := checker.Check(ctx, objects); len(problems) > 0 {
			for _, p := range problems {
				fmt.Fprintf(out, "%s: %s\n", dir, p)
			}
			return fmt.Errorf("%s: %d problem(s) in %d objects", dir, len(problems), len(objects))
		}
		fmt.Fprintf(out, "%s: %d objects, nothing refused\n", dir, len(objects))
	}
	return nil
}
