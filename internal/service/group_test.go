package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firehose/internal/service"
)

var errBroken = errors.New("broken")

func TestFirstToStopStopsAll(t *testing.T) {
	for _, want := range []error{nil, errBroken} {
		synctest.Test(t, func(t *testing.T) {
			group := service.NewGroup(t.Context(), time.Minute)
			var left bool
			group.Go("first", func(_, _ context.Context) error { return want })
			group.Go("second", func(stop, _ context.Context) error {
				<-stop.Done()
				left = true
				return stop.Err()
			})
			if err := group.Wait(); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("got %v, want %v", err, want)
			}
			if !left {
				t.Error("Wait returned before the second member")
			}
		})
	}
}

func TestErrorNamesTheMember(t *testing.T) {
	group := service.NewGroup(t.Context(), time.Minute)
	group.Go("consume", func(_, _ context.Context) error { return errBroken })
	if err := group.Wait(); err == nil || err.Error() != "consume: broken" {
		t.Errorf("got %v, want consume: broken", err)
	}
}

func TestAbortAfterTheGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group := service.NewGroup(ctx, 25*time.Second)
		began := time.Now()
		group.Go("consume", func(stop, abort context.Context) error {
			<-stop.Done()
			if abort.Err() != nil {
				t.Error("the work was aborted together with the stop")
			}
			<-abort.Done()
			return abort.Err()
		})
		cancel()
		if err := group.Wait(); !errors.Is(err, service.ErrAborted) {
			t.Errorf("got %v, want ErrAborted", err)
		}
		if got := time.Since(began); got != 25*time.Second {
			t.Errorf("aborted after %v, want 25s", got)
		}
	})
}

func TestStopInTimeIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group := service.NewGroup(ctx, 25*time.Second)
		group.Go("consume", func(stop, abort context.Context) error {
			<-stop.Done()
			select {
			case <-time.After(24 * time.Second): // the transaction in flight
				return nil
			case <-abort.Done():
				return abort.Err()
			}
		})
		cancel()
		if err := group.Wait(); err != nil {
			t.Errorf("got %v, want none", err)
		}
	})
}

func TestMemberThatIgnoresTheAbortIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group := service.NewGroup(ctx, 25*time.Second)
		release := make(chan struct{})
		defer close(release)
		group.Go("deaf", func(_, _ context.Context) error { <-release; return nil })
		group.Go("obedient", func(stop, _ context.Context) error { <-stop.Done(); return nil })
		began := time.Now()
		cancel()
		err := group.Wait()
		if !errors.Is(err, service.ErrAborted) || !strings.HasSuffix(err.Error(), "still running: deaf") {
			t.Errorf("got %v, want ErrAborted naming deaf alone", err)
		}
		if got := time.Since(began); got != 30*time.Second {
			t.Errorf("gave up after %v, want 30s", got)
		}
	})
}

func TestAttendantOutlivesTheMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group := service.NewGroup(ctx, time.Minute)
		var order []string
		group.Attend("admin", func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, "admin")
			return nil
		})
		group.Go("consume", func(stop, _ context.Context) error {
			<-stop.Done()
			<-time.After(10 * time.Second) // its last work, in virtual time
			order = append(order, "consume")
			return nil
		})
		cancel()
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(order, " "); got != "consume admin" {
			t.Errorf("stopped in the order %q, want consume admin", got)
		}
	})
}

func TestAttendantThatFailsStopsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := service.NewGroup(t.Context(), time.Minute)
		group.Attend("admin", func(context.Context) error { return errBroken })
		group.Go("consume", func(stop, _ context.Context) error { <-stop.Done(); return nil })
		if err := group.Wait(); !errors.Is(err, errBroken) {
			t.Errorf("got %v, want %v", err, errBroken)
		}
	})
}
