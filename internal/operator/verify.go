package operator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"

	"firehose/internal/service"
	"firehose/schemas"
)

// schemasVerify is `firehose schemas verify`.
type schemasVerify struct {
	Streams
	registry
	schemas schemaDir
	golden  string
	offline bool
	json    bool
}

func schemasVerifyCommand(s Streams) *service.Command {
	c := &schemasVerify{Streams: s}
	return &service.Command{
		Name:    "verify",
		Summary: "ask a second Avro implementation, and compare the registry with the files",
		Help: "Golden values and values made from each schema (the ends of numbers, every branch,\n" +
			"every symbol) are read and written by our codec and by goavro, which shares no code\n" +
			"with it, in both directions. Then every version of the files has to be in the\n" +
			"registry: by canonical form and attributes, not by text, which registries rewrite.\n" +
			"Exits with 1 when anything differs.",
		Example: "firehose schemas verify\nfirehose schemas verify --offline --schemas ./my-schemas --golden ./my-golden",
		Register: func(f *service.Flags) {
			c.registry.Register(f)
			c.schemas.register(f)
			f.StringVar(&c.golden, "golden", "", "`directory` of golden values, files TOPIC.vN.txt with lines of a name and hexadecimal digits; default is the shop's, built in")
			f.BoolVar(&c.offline, "offline", false, "without a registry")
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// verified is a line of `firehose schemas verify`.
type verified struct {
	Topic    string   `json:"topic"`
	Version  int      `json:"version"`
	Golden   int      `json:"golden"` // values checked
	Made     int      `json:"made"`
	ID       int      `json:"id,omitempty"` // in the registry
	Problems []string `json:"problems,omitempty"`
}

func (v *verified) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

func (c *schemasVerify) run(ctx context.Context, _ []string) error {
	set, err := c.schemas.load()
	if err != nil {
		return err
	}
	golden, err := c.goldenFiles()
	if err != nil {
		return err
	}
	var results []*verified
	for _, t := range set.Topics() {
		for _, s := range t.Versions {
			v := &verified{Topic: s.Topic, Version: s.N}
			v.bytes(s, golden)
			results = append(results, v)
		}
	}
	if !c.offline {
		if err := c.compare(ctx, set, results); err != nil {
			return err
		}
	}
	return c.print(results)
}

// goldenFiles is where golden values are, nil when there are none: somebody
// else's schemas without --golden.
func (c *schemasVerify) goldenFiles() (fs.FS, error) {
	switch {
	case c.golden != "":
		if info, err := os.Stat(c.golden); err != nil {
			return nil, service.Usagef("--golden: %w", err)
		} else if !info.IsDir() {
			return nil, service.Usagef("--golden: %s: want a directory", c.golden)
		}
		return os.DirFS(c.golden), nil
	case c.schemas == "":
		return schemas.Golden(), nil
	}
	return nil, nil
}

// bytes checks a version's values with both implementations.
func (v *verified) bytes(s *schemas.Schema, golden fs.FS) {
	oracle, err := goavro.NewCodec(s.Text)
	if err != nil {
		v.problem("goavro does not read the schema: %v", err)
		return
	}
	opinion := secondOpinion{ours: s.Avro, theirs: oracle}
	values, err := readGolden(golden, s)
	if err != nil {
		v.problem("golden values: %v", err)
	}
	for _, value := range values {
		if err := opinion.check(value.data); err != nil {
			v.problem("golden value %s: %v", value.name, err)
		}
		v.Golden++
	}
	root := s.Avro.Root()
	for variant := range variants {
		data, err := makeValue(root, variant)
		if err == nil {
			err = opinion.check(data)
		}
		if err != nil {
			v.problem("made value %d: %v", variant+1, err)
		}
		v.Made++
	}
}

type goldenValue struct {
	name string
	data []byte
}

func readGolden(dir fs.FS, s *schemas.Schema) ([]goldenValue, error) {
	if dir == nil {
		return nil, nil
	}
	text, err := fs.ReadFile(dir, fmt.Sprintf("%s.v%d.txt", s.Topic, s.N))
	if err != nil {
		return nil, err
	}
	var values []goldenValue
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		data, err := hex.DecodeString(digits)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values = append(values, goldenValue{name, data})
	}
	if len(values) == 0 {
		return nil, errors.New("there are none")
	}
	return values, nil
}

// compare looks for every version in the registry.
func (c *schemasVerify) compare(ctx context.Context, set *schemas.Set, results []*verified) error {
	reg, err := c.open()
	if err != nil {
		return err
	}
	defer reg.Close()
	i := 0
	for _, t := range set.Topics() {
		s, err := compare(ctx, reg, t)
		if err != nil {
			return err
		}
		for _, local := range t.Versions {
			v := results[i]
			i++
			found, err := s.find(local)
			switch {
			case err != nil:
				return err
			case found != nil:
				v.ID = found.ID
			case len(s.registered) == 0:
				v.problem("not registered: the registry has no subject %s", t.Subject())
			default:
				v.problem("not registered: none of the %s of subject %s is the same", plural(len(s.registered), "version"), t.Subject())
			}
		}
	}
	return nil
}

func (c *schemasVerify) print(results []*verified) error {
	bad := 0
	var rows [][]string
	for _, v := range results {
		result := "agrees"
		if len(v.Problems) > 0 {
			bad++
			result = "! " + printable(strings.Join(v.Problems, "; "))
		}
		id := "-"
		if v.ID > 0 {
			id = itoa(v.ID)
		}
		rows = append(rows, []string{v.Topic, itoa(v.Version), itoa(v.Golden), itoa(v.Made), id, result})
	}
	var err error
	if c.json {
		err = printJSON(c.Out, results)
	} else {
		err = printTable(c.Out, []string{"TOPIC", "VERSION", "GOLDEN", "MADE", "ID", "RESULT"}, rows)
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%s wrong", plural(bad, "schema version"))
	}
	return err
}

// secondOpinion reads and writes the same bytes with two implementations. Only
// bytes of our own making get here: goavro must never see others'.
type secondOpinion struct {
	ours   *avro.Schema
	theirs *goavro.Codec
}

func (o secondOpinion) check(data []byte) error {
	ours, err := o.read(data)
	if err != nil {
		return fmt.Errorf("we read it: %w", err)
	}
	written, err := o.ours.Encode(ours)
	if err != nil {
		return fmt.Errorf("we write it: %w", err)
	}
	theirs, rest, err := o.theirs.NativeFromBinary(written)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes left", len(rest))
	}
	if err != nil {
		return fmt.Errorf("goavro reads ours: %w", err)
	}
	if at := differ(ours, theirs, "value"); at != "" {
		return fmt.Errorf("goavro reads ours: %s is another", at)
	}
	back, err := o.theirs.BinaryFromNative(nil, theirs)
	if err != nil {
		return fmt.Errorf("goavro writes it: %w", err)
	}
	again, err := o.read(back)
	if err != nil {
		return fmt.Errorf("we read goavro's: %w", err)
	}
	if !reflect.DeepEqual(ours, again) {
		return errors.New("we read goavro's: another value")
	}
	return nil
}

func (o secondOpinion) read(data []byte) (any, error) {
	var v any
	rest, err := o.ours.Decode(data, &v)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes left", len(rest))
	}
	return v, err
}
