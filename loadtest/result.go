package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// format is that of the JSON result. A reader of another one refuses it.
const format = 1

// Result is what a run found.
type Result struct {
	Format   int       `json:"format"`
	Name     string    `json:"name"` // what its user calls it
	Run      string    `json:"run"`  // its rows in the store
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"` // all of it, with warm-up and drain
	Machine  Machine   `json:"machine"`
	Versions Versions  `json:"versions"`
	Settings Settings  `json:"settings"`

	Events      Events      `json:"events"`
	Acked       Quantiles   `json:"acknowledged"` // from when an event was due to its acknowledgement
	Applied     Quantiles   `json:"applied"`      // from when it was due until it was seen in the store
	Lateness    Quantiles   `json:"lateness"`     // of sending, as far as the generator is to blame
	Observation Observation `json:"observation"`
	Usage       []Used      `json:"usage"`
	MachineBusy float64     `json:"machine_busy"` // part of its processors, while measuring

	Correct  Correctness `json:"correct"`
	Findings []string    `json:"findings"` // what is wrong; none: the run passed
	Notes    []string    `json:"notes"`    // what to know before believing the figures
	Limit    string      `json:"limit"`    // "", or what kept the rate from being reached: generator, door, service

	Series []Second  `json:"series"`
	Marks  []Mark    `json:"marks,omitempty"`
	Dents  []Dent    `json:"dents,omitempty"`
	Search []Attempt `json:"search,omitempty"`
}

// Versions of what took part.
type Versions struct {
	Firehose string `json:"firehose"`
	Go       string `json:"go"`
	Kafka    string `json:"kafka"`
	Store    string `json:"store"`
}

// Settings are those of the run.
type Settings struct {
	Door       string  `json:"door"` // "kafka", or the URL of an HTTP door
	Brokers    int     `json:"brokers"`
	Domain     string  `json:"domain"`
	Partitions int     `json:"partitions"`
	Store      string  `json:"store"` // its kind: an address may hold a password
	Compress   string  `json:"compression"`
	Load       string  `json:"load"`
	WarmUp     float64 `json:"warm_up_s"`
	Workers    int     `json:"workers"`
	Instances  int     `json:"instances"` // of the service that the run started; 0: others did
	Traffic
}

// Events counts those of the measured part of the load, except Unknown and
// Rejected, which are of all.
type Events struct {
	Due      int64            `json:"due"`
	Sent     int64            `json:"sent"`
	Acked    int64            `json:"acknowledged"`
	Applied  int64            `json:"applied"`
	Rejected int64            `json:"rejected"`
	Unknown  int64            `json:"unknown"`
	Reasons  map[string]int64 `json:"reasons,omitempty"`
	// Rates in events a second: of the load, and from the end of the warm-up to
	// the last acknowledgement or application.
	DueRate     float64 `json:"due_rate"`
	AckedRate   float64 `json:"acknowledged_rate"`
	AppliedRate float64 `json:"applied_rate"`
	Drain       float64 `json:"drain_s"` // from the last event due to the last one applied
}

// Used is what a group of processes used in the whole run.
type Used struct {
	Name       string  `json:"name"`
	CPU        float64 `json:"cpu_s"`
	PerMillion float64 `json:"cpu_s_per_million_events"`
	MaxMemory  float64 `json:"max_memory_mb"`
}

// Second is one interval of the run.
type Second struct {
	At       float64          `json:"at_s"` // its end, after the start
	Length   float64          `json:"length_s"`
	WarmUp   bool             `json:"warm_up,omitempty"`
	Due      float64          `json:"due"` // events a second, as all of these
	Sent     float64          `json:"sent"`
	Acked    float64          `json:"acknowledged"`
	Applied  float64          `json:"applied"`
	Behind   int64            `json:"behind"`  // acknowledged, and not yet seen applied
	Unacked  int64            `json:"unacked"` // sent, and not yet answered
	AckedMs  Quantiles        `json:"acknowledged_ms"`
	ApplyMs  Quantiles        `json:"applied_ms"`
	LateMs   Quantiles        `json:"lateness_ms"`
	Usage    map[string]Usage `json:"usage,omitempty"`
	Machine  float64          `json:"machine_busy"`
	Observed int64            `json:"observations"`
}

// Mark is something that was done to the system during the run.
type Mark struct {
	At   float64 `json:"at_s"`
	What string  `json:"what"`
}

// Write writes the result as JSON.
func (r *Result) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// Read reads a result from a file.
func Read(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Format != format {
		return nil, fmt.Errorf("%s: format %d: want %d, the result of loadtest run", path, r.Format, format)
	}
	return &r, nil
}
