package producer

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/service"
)

// supervision is how a command that ends by itself is stopped and watched.
type supervision struct {
	admin    service.Admin
	shutdown service.Shutdown
}

// run runs work, which publishes with open, and then closes that. The first
// signal ends work's context: it begins nothing new and waits for the outcomes
// that are open. The second signal, or the end of the grace time, makes those
// unknown, which ends the waiting.
func (s *supervision) run(ctx context.Context, open *opened, metrics prometheus.Gatherer, log *slog.Logger, work func(context.Context) error) error {
	group := service.NewGroup(ctx, s.shutdown.Grace)
	if err := s.admin.Start(group, service.NewHealth(), metrics, log); err != nil {
		return errors.Join(err, open.close(ctx))
	}
	tell := context.AfterFunc(ctx, func() { log.Info("stopping: a second signal aborts") })
	defer tell()
	result := make(chan error, 1) // beside the group, which would put a name before it
	group.Go("events", func(stop, abort context.Context) error {
		cut := make(chan struct{})
		uncut := context.AfterFunc(abort, func() {
			defer close(cut)
			_ = open.publisher.Close(abort) // its error says what the abort is
		})
		err := work(stop)
		if !uncut() {
			<-cut
		}
		if failed := open.close(abort); abort.Err() == nil {
			err = errors.Join(err, failed)
		}
		result <- err
		return nil
	})
	stopped := group.Wait()
	select {
	case err := <-result:
		if stopped != nil && errors.Is(err, service.ErrFailed) {
			return stopped // the other one has been said already
		}
		return errors.Join(err, stopped)
	default: // left behind
		return stopped
	}
}
