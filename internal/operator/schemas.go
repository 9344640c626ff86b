package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firehose/internal/codec"
	"firehose/internal/service"
	"firehose/schemas"
)

func schemasCommand(s Streams) *service.Command {
	return &service.Command{
		Name:    "schemas",
		Summary: "check, register, list and verify schemas",
		Commands: []*service.Command{
			schemasCheckCommand(s), schemasRegisterCommand(s), schemasListCommand(s), schemasVerifyCommand(s),
		},
	}
}

// subject is a topic's schemas beside what the registry has in its subject.
type subject struct {
	topic      *schemas.Topic
	registered []codec.Registered
}

// compare asks the registry what it has in a topic's subject.
func compare(ctx context.Context, reg *codec.Registry, t *schemas.Topic) (subject, error) {
	registered, err := reg.Versions(ctx, t.Subject())
	if err != nil && !errors.Is(err, codec.ErrUnknownSchema) {
		return subject{}, err
	}
	return subject{t, registered}, nil
}

// find returns the registered version that is the same as a schema, nil when
// there is none.
func (s subject) find(schema *schemas.Schema) (*codec.Registered, error) {
	for i := range s.registered {
		r := &s.registered[i]
		if r.Err != nil {
			continue
		}
		same, err := codec.Same(r.Schema, schema.Avro)
		if err != nil {
			return nil, err
		}
		if same {
			return r, nil
		}
	}
	return nil, nil
}

// fits returns why the local versions do not go with the registered ones: the
// registered, and behind them the local ones that are new, have to be a history
// in which every version reads every other one and the contract is kept. missing
// are the local versions that are not registered.
func (s subject) fits() (missing []*schemas.Schema, err error) {
	var history []*schemas.Schema
	var names []string
	for _, r := range s.registered {
		if r.Err != nil {
			return nil, fmt.Errorf("version %d in the registry: %w", r.Version, r.Err)
		}
		parsed, err := schemas.Parse(r.Text, len(history)+1)
		if err != nil {
			return nil, fmt.Errorf("version %d in the registry: %w", r.Version, err)
		}
		if parsed.Topic != s.topic.Topic {
			return nil, fmt.Errorf("version %d in the registry: its topic is %q", r.Version, parsed.Topic)
		}
		history = append(history, parsed)
		names = append(names, fmt.Sprintf("version %d in the registry", r.Version))
	}
	for _, local := range s.topic.Versions {
		r, err := s.find(local)
		if err != nil {
			return nil, err
		}
		if r != nil {
			continue
		}
		missing = append(missing, local)
		next := *local
		next.N = len(history) + 1
		history = append(history, &next)
		names = append(names, fmt.Sprintf("version %d of the files", local.N))
		if _, err := schemas.NewSet(slices.Clone(history)...); err != nil {
			return missing, fmt.Errorf("version %d of the files against %s: %w", local.N, strings.Join(names[:len(names)-1], ", "), err)
		}
	}
	return missing, nil
}

// schemasCheck is `firehose schemas check`.
type schemasCheck struct {
	Streams
	registry
	schemas schemaDir
	offline bool
	json    bool
}

func schemasCheckCommand(s Streams) *service.Command {
	c := &schemasCheck{Streams: s}
	return &service.Command{
		Name:    "check",
		Summary: "check that every version of a schema can read every other one, in the files and in the registry",
		Help: "FULL_TRANSITIVE: readers and writers may be deployed in any order. Contracts have to\n" +
			"be kept, too: a newer version must not change the key or drop an event type. Exits\n" +
			"with 1 when something does not fit. It changes nothing.",
		Example: "firehose schemas check --schemas ./schemas/shop\nfirehose schemas check --offline",
		Register: func(f *service.Flags) {
			c.registry.Register(f)
			c.schemas.register(f)
			f.BoolVar(&c.offline, "offline", false, "check the files only, without a registry")
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// checked is a line of `firehose schemas check`.
type checked struct {
	Subject    string `json:"subject"`
	Versions   int    `json:"versions"`   // in the files
	Registered int    `json:"registered"` // versions in the registry
	New        int    `json:"new"`        // versions of the files that the registry does not have
	Offline    bool   `json:"offline,omitempty"`
	Problem    string `json:"problem,omitempty"`
}

func (c *schemasCheck) run(ctx context.Context, _ []string) error {
	set, err := c.schemas.load() // which is the offline half
	if err != nil {
		return err
	}
	var results []checked
	if c.offline {
		for _, t := range set.Topics() {
			results = append(results, checked{Subject: t.Subject(), Versions: len(t.Versions), Offline: true})
		}
	} else if results, err = c.online(ctx, set); err != nil {
		return err
	}
	bad := 0
	for _, r := range results {
		if r.Problem != "" {
			bad++
		}
	}
	if c.json {
		err = printJSON(c.Out, results)
	} else {
		err = printTable(c.Out, []string{"SUBJECT", "FILES", "REGISTERED", "NEW", "RESULT"}, checkRows(results))
	}
	if err == nil && bad > 0 {
		err = fmt.Errorf("%s not compatible", plural(bad, "subject"))
	}
	return err
}

func (c *schemasCheck) online(ctx context.Context, set *schemas.Set) ([]checked, error) {
	reg, err := c.open()
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	var results []checked
	for _, t := range set.Topics() {
		s, err := compare(ctx, reg, t)
		if err != nil {
			return nil, err
		}
		r := checked{Subject: t.Subject(), Versions: len(t.Versions), Registered: len(s.registered)}
		missing, err := s.fits()
		r.New = len(missing)
		if err != nil {
			r.Problem = err.Error()
		}
		results = append(results, r)
	}
	return results, nil
}

func checkRows(results []checked) [][]string {
	var rows [][]string
	for _, r := range results {
		registered, fresh, result := itoa(r.Registered), itoa(r.New), "compatible"
		if r.Offline {
			registered, fresh = "-", "-"
		}
		if r.Problem != "" {
			result = "! " + printable(r.Problem)
		}
		rows = append(rows, []string{r.Subject, itoa(r.Versions), registered, fresh, result})
	}
	return rows
}

// schemasRegister is `firehose schemas register`.
type schemasRegister struct {
	Streams
	registry
	schemas schemaDir
	json    bool
}

func schemasRegisterCommand(s Streams) *service.Command {
	c := &schemasRegister{Streams: s}
	return &service.Command{
		Name:    "register",
		Summary: "make every version of the schemas known to the registry",
		Help: "Checks first that everything fits, then sets each subject to FULL_TRANSITIVE and\n" +
			"registers what is new, oldest version first. What is known already stays as it is.",
		Example: "firehose schemas register --schemas ./schemas/shop",
		Register: func(f *service.Flags) {
			c.registry.Register(f)
			c.schemas.register(f)
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// registration is a line of `firehose schemas register`.
type registration struct {
	Subject string `json:"subject"`
	Version int    `json:"version"` // of the files
	ID      int    `json:"id"`
	New     bool   `json:"new"`
}

func (c *schemasRegister) run(ctx context.Context, _ []string) error {
	set, err := c.schemas.load()
	if err != nil {
		return err
	}
	reg, err := c.open()
	if err != nil {
		return err
	}
	defer reg.Close()
	// All are checked before the first is registered: half a deployment is
	// worse than none.
	fresh := map[*schemas.Schema]bool{}
	for _, t := range set.Topics() {
		s, err := compare(ctx, reg, t)
		if err != nil {
			return err
		}
		missing, err := s.fits()
		if err != nil {
			return fmt.Errorf("subject %s: %w; nothing was registered", t.Subject(), err)
		}
		for _, m := range missing {
			fresh[m] = true
		}
	}
	var done []registration
	for _, t := range set.Topics() {
		var ids []int
		if ids, err = reg.Register(ctx, t); err != nil {
			break
		}
		for i, id := range ids {
			done = append(done, registration{t.Subject(), t.Versions[i].N, id, fresh[t.Versions[i]]})
		}
	}
	return errors.Join(c.print(done), err)
}

func (c *schemasRegister) print(done []registration) error {
	if c.json {
		return printJSON(c.Out, done)
	}
	var rows [][]string
	for _, r := range done {
		outcome := "unchanged"
		if r.New {
			outcome = "registered"
		}
		rows = append(rows, []string{r.Subject, itoa(r.Version), itoa(r.ID), outcome})
	}
	return printTable(c.Out, []string{"SUBJECT", "VERSION", "ID", "OUTCOME"}, rows)
}

// schemasList is `firehose schemas list`.
type schemasList struct {
	Streams
	registry
	json bool
}

func schemasListCommand(s Streams) *service.Command {
	c := &schemasList{Streams: s}
	return &service.Command{
		Name:    "list",
		Summary: "list what the registry holds",
		Example: "firehose schemas list",
		Register: func(f *service.Flags) {
			c.registry.Register(f)
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// listedSchema is a line of `firehose schemas list`.
type listedSchema struct {
	Subject string   `json:"subject"`
	Version int      `json:"version"`
	ID      int      `json:"id"`
	Record  string   `json:"record,omitempty"` // full name
	Kind    string   `json:"kind,omitempty"`
	Types   []string `json:"types,omitempty"`
	Problem string   `json:"problem,omitempty"` // why it is none of ours
}

func (c *schemasList) run(ctx context.Context, _ []string) error {
	reg, err := c.open()
	if err != nil {
		return err
	}
	defer reg.Close()
	subjects, err := reg.Subjects(ctx)
	if err != nil {
		return err
	}
	slices.Sort(subjects)
	var list []listedSchema
	for _, name := range subjects {
		versions, err := reg.Versions(ctx, name)
		if errors.Is(err, codec.ErrUnknownSchema) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		for _, v := range versions {
			list = append(list, describeVersion(name, v))
		}
	}
	if c.json {
		return printJSON(c.Out, list)
	}
	var rows [][]string
	for _, l := range list {
		about := strings.Join(l.Types, " ")
		if l.Problem != "" {
			about = "! " + printable(l.Problem)
		}
		rows = append(rows, []string{printable(l.Subject), itoa(l.Version), itoa(l.ID), printable(l.Record), l.Kind, about})
	}
	return printTable(c.Out, []string{"SUBJECT", "VERSION", "ID", "RECORD", "KIND", "TYPES"}, rows)
}

func describeVersion(subject string, v codec.Registered) listedSchema {
	l := listedSchema{Subject: subject, Version: v.Version, ID: v.ID}
	if v.Err != nil {
		l.Problem = v.Err.Error()
		return l
	}
	root := v.Schema.Root()
	l.Record = strings.TrimPrefix(root.Namespace+"."+root.Name, ".")
	s, err := schemas.Parse(v.Text, 1)
	if err != nil {
		l.Problem = err.Error()
		return l
	}
	l.Kind, l.Types = string(s.Kind), s.Types
	return l
}
