package postgres

import (
	"bytes"
	"context"
	"fmt"
)

// stage is a temporary table of one session, through which the rows of a batch
// come: they are copied into it before the transaction, so that a process that is
// frozen meanwhile holds no lock.
type stage struct {
	name, columns string
	batch         int // the last that it was loaded for
}

// stagePrefix begins the names of staging tables. The session's own name follows,
// so that through a pooler no session finds the rows of another one's in its own.
const stagePrefix = "firehose_stage_"

const (
	// maxStages bounds the temporary tables of a session, as far as a single
	// batch does not need more.
	maxStages = 64
	// maxSeenStages is how many slices of seen IDs are staged. A batch that spans
	// more has few IDs in each of them, and a table each would cost more than it
	// saves: they come as arguments.
	maxSeenStages = 32
)

// maxSpare bounds the memory that a session keeps for what it copies.
const maxSpare = 8 << 20

// copying returns an empty buffer. It is the session's until it is loaded.
func (s *session) copying() *copyBuffer {
	c := &copyBuffer{b: s.spare[:0]}
	s.spare = nil
	return c
}

// load fills the stage of a purpose with rows and returns its name.
func (s *session) load(ctx context.Context, purpose, columns string, rows *copyBuffer) (string, error) {
	st := s.stages[purpose]
	if st == nil || st.columns != columns {
		if err := s.makeStage(ctx, purpose, columns); err != nil {
			return "", err
		}
		st = s.stages[purpose]
	}
	st.batch = s.batch
	all := rows.end()
	// One message and one transaction for both.
	sql := fmt.Sprintf("TRUNCATE %s; COPY %s FROM STDIN (FORMAT binary)", st.name, st.name)
	err := s.ask(ctx, func(ctx context.Context) error {
		_, err := s.conn.PgConn().CopyFrom(ctx, bytes.NewReader(all), sql)
		return err
	})
	if err == nil && cap(all) <= maxSpare { // after an error it may still be read
		s.spare = all
	}
	return st.name, err
}

func (s *session) makeStage(ctx context.Context, purpose, columns string) error {
	if len(s.stages) >= maxStages {
		for purpose, st := range s.stages {
			if st.batch == s.batch {
				continue // the batch at hand is written from it
			}
			if err := s.run(ctx, "DROP TABLE "+st.name); err != nil {
				return err
			}
			delete(s.stages, purpose)
		}
	}
	if old := s.stages[purpose]; old != nil {
		if err := s.run(ctx, "DROP TABLE "+old.name); err != nil {
			return err
		}
		delete(s.stages, purpose)
	}
	s.staged++
	st := &stage{name: fmt.Sprintf("pg_temp.%s%s_%d", stagePrefix, s.name, s.staged), columns: columns, batch: s.batch}
	if err := s.run(ctx, fmt.Sprintf("CREATE TEMPORARY TABLE %s (%s)", st.name, columns)); err != nil {
		return err
	}
	s.stages[purpose] = st
	return nil
}

// run executes a statement that is not worth preparing.
func (s *session) run(ctx context.Context, sql string) error {
	return s.ask(ctx, func(ctx context.Context) error { return s.conn.PgConn().Exec(ctx, sql).Close() })
}
