package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/mattn/go-isatty"
)

// Log says what is logged and how.
type Log struct {
	Level  slog.Level // default info
	Format string     // auto (text on a terminal, JSON elsewhere), json or text
}

// Register declares --log-level and --log-format.
func (l *Log) Register(f *Flags) {
	l.Level, l.Format = slog.LevelInfo, "auto"
	f.TextVar(&l.Level, "log-level", slog.LevelInfo, "least `level` to log: debug, info, warn or error")
	f.Var((*logFormat)(&l.Format), "log-format", "`form` of the log: auto, json or text; auto is text on a terminal")
}

type logFormat string

func (f *logFormat) String() string { return string(*f) }

func (f *logFormat) Set(s string) error {
	if !slices.Contains([]string{"auto", "json", "text"}, s) {
		return fmt.Errorf("want auto, json or text")
	}
	*f = logFormat(s)
	return nil
}

// Logger writes to w in the form that was asked for.
func (l *Log) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "text" || l.Format != "json" && IsTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// IsTerminal reports whether somebody is looking at w: progress and colours go
// nowhere else.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && (isatty.IsTerminal(file.Fd()) || isatty.IsCygwinTerminal(file.Fd()))
}

// KeyHash is how a record's key appears in a log: the first eight bytes of its
// SHA-256, logged under key_hash. Lines about one key can be found, the key is not
// in the clear. It is a pseudonym, not a secret: keys that can be guessed can be tried.
func KeyHash(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}
