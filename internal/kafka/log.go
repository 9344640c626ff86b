package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLog hands the client's lines to slog. Below warnings they are too many
// for anyone but the client's author. A line that is the same as one before, as
// while a broker is down, is written once in quietFor, with how often it came.
type clientLog struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]*saying
}

// saying is a line that was written lately.
type saying struct {
	at    time.Time
	again int // since then
}

const (
	quietFor   = 10 * time.Second
	maxSayings = 256 // as many different ones are remembered
)

// anew reports whether a line is to be written, and how often it was not since it
// was last.
func (l *clientLog) anew(line string, now time.Time) (again int, write bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.said[line]
	switch {
	case s != nil && now.Sub(s.at) < quietFor:
		s.again++
		return 0, false
	case s != nil:
		again = s.again
	case len(l.said) >= maxSayings:
		maps.DeleteFunc(l.said, func(_ string, s *saying) bool { return now.Sub(s.at) >= quietFor })
		if len(l.said) >= maxSayings {
			clear(l.said)
		}
	}
	l.said[line] = &saying{at: now}
	return again, true
}

// Level implements kgo.Logger.
func (l *clientLog) Level() kgo.LogLevel {
	switch {
	case l.log.Enabled(context.Background(), slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.log.Enabled(context.Background(), slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.log.Enabled(context.Background(), slog.LevelError):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

// Log implements kgo.Logger.
func (l *clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	case kgo.LogLevelNone, kgo.LogLevelInfo, kgo.LogLevelDebug:
	}
	log := l.log.With(keyvals...)
	if to >= slog.LevelWarn {
		again, write := l.anew(fmt.Sprint(msg, keyvals), time.Now())
		if !write {
			return
		}
		if again > 0 {
			log = log.With("repeated", again)
		}
	}
	log.Log(context.Background(), to, "kafka client", "detail", msg)
}
