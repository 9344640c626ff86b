package producer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// checkpointEvery is the least time between two writes of a checkpoint.
const checkpointEvery = 250 * time.Millisecond

// readCheckpoint reads what writeCheckpoint wrote. It returns false when there
// is none yet.
func readCheckpoint(path string, v any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read checkpoint: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return false, fmt.Errorf("read checkpoint %s: %w", path, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return false, fmt.Errorf("read checkpoint %s: more than one JSON value", path)
	}
	return true, nil
}

func writeCheckpoint(path string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = writeFile(path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// writeFile replaces a file so that whoever reads it, also after a crash, sees
// the old content or the new one, whole. It is for one writer.
func writeFile(path string, data []byte) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // what is left of it says nothing
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// keepCheckpoint saves the prefix of a feed, now, from time to time while run
// runs, and once more when it is done. An error of saving ends run's context:
// events that no checkpoint covers would be sent again.
func keepCheckpoint(ctx context.Context, f *feed, save func(prefix int64) error, run func(context.Context) (bool, error)) (bool, error) {
	saved := f.prefix()
	if err := save(saved); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	finished, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(checkpointEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-finished:
				stopped <- nil
				return
			}
			prefix := f.prefix()
			if prefix == saved {
				continue
			}
			if err := save(prefix); err != nil {
				cancel()
				stopped <- err
				return
			}
			saved = prefix
		}
	}()
	done, err := run(ctx)
	close(finished)
	if saveErr := <-stopped; saveErr != nil {
		return false, errors.Join(err, saveErr)
	}
	if prefix := f.prefix(); prefix != saved {
		err = errors.Join(err, save(prefix))
	}
	return done && err == nil, err
}
