// Package service is the process shell that every binary shares: commands with
// their configuration, signals, the group of goroutines that lives and dies
// together, the admin server and the logs.
//
// A binary is a Command, and its main is one line:
//
//	func main() { os.Exit(service.Main(context.Background(), inventory.Command())) }
//
// A command is a struct that registers its flags and runs:
//
//	type serve struct {
//		cluster  service.Cluster
//		admin    service.Admin
//		log      service.Log
//		shutdown service.Shutdown
//	}
//
//	func (c *serve) register(f *service.Flags) {
//		c.cluster.Register(f)
//		c.admin.Register(f)
//		c.log.Register(f)
//		c.shutdown.Register(f)
//	}
//
//	func (c *serve) run(ctx context.Context, _ []string) error {
//		log := c.log.Logger(os.Stderr)
//		group := service.NewGroup(ctx, c.shutdown.Grace)
//		health := service.NewHealth()
//		if err := c.admin.Start(group, health, registry, log); err != nil {
//			return err
//		}
//		group.Go("consume", func(stop, abort context.Context) error { … })
//		return group.Wait()
//	}
//
// # Configuration
//
// A flag, a variable and a line of the YAML file named by --config mean the
// same thing: --log-level, FIREHOSE_LOG_LEVEL and "log-level:". A flag beats
// the environment, which beats the file, which beats the default. Unknown keys
// are errors in all three; what another command of the same binary knows is
// ignored, so that its commands can share a file.
//
// # Two contexts
//
// The first signal ends the context that Run gets: stop fetching, refuse new
// work, finish what is in flight. When the grace time is over, or at a second
// signal, the abort context of the Group ends too: leave everything and
// return. A third signal kills the process.
package service
