package shop

import (
	"strconv"
	"strings"
	"time"

	"firehose/schemas"
)

var (
	channels   = []schemas.Channel{schemas.ChannelWeb, schemas.ChannelWeb, schemas.ChannelApp, schemas.ChannelPhone}
	methods    = []schemas.PaymentMethod{schemas.PaymentMethodCard, schemas.PaymentMethodCard, schemas.PaymentMethodTransfer, schemas.PaymentMethodWallet, schemas.PaymentMethodVoucher}
	notes      = []string{"as a gift, please", "leave it with the neighbours", "ring twice", "¡gracias!"}
	carriers   = []string{"DHL", "UPS", "Post"}
	countries  = []string{"US", "US", "US", "CA", "GB", "DE", "FR", "JP"}
	firstNames = []string{"Ada", "Alan", "Barbara", "Edsger", "Grace", "Ken", "Leslie", "Niklaus", "Radia", "Zoë"}
	lastNames  = []string{"Brown", "Dubois", "García", "Jones", "Meyer", "Nakamura", "O'Neill", "Smith", "Suzuki", "Özil"}
	categories = []string{"music", "books", "games", "kitchen", "garden", "tools"}
	adjectives = []string{"Blue", "Quiet", "Golden", "Little", "Broken", "Endless", "Plain", "Second"}
	nouns      = []string{"River", "Lantern", "Engine", "Sparrow", "Harbour", "Ladder", "Orchard", "Signal"}
)

// trait returns a number from 0 to n-1 that belongs to the nth thing of a kind
// for ever, so that it needs not be remembered (SplitMix64's finisher).
func (s *Shop) trait(kind uint64, nth, n int) int {
	x := s.st.Config.Seed + kind<<56 + uint64(nth)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

// The kinds of trait.
const (
	traitCategory = iota + 1
	traitAdjective
	traitNoun
	traitGrams
	traitFirstName
	traitLastName
)

func (s *Shop) sku(rank int) string { return s.name + "-p" + strconv.Itoa(rank+1) }

func (s *Shop) grams(rank int) int64 { return int64(50 + s.trait(traitGrams, rank, 4000)) }

// anyProduct draws a product that can be bought, and lists it when it has never
// been asked for.
func (s *Shop) anyProduct() int {
	rank := s.rank()
	if s.st.Products[rank].Inactive {
		rank = s.below(min(staples, len(s.st.Products)))
	}
	if s.st.Products[rank].Version == 0 {
		s.list(rank)
	}
	return rank
}

// list brings a product into the shop.
func (s *Shop) list(rank int) {
	s.tick()
	p := &s.st.Products[rank]
	p.Version, p.Price, p.ListedAt = 1, int64(199+50*s.below(200)), s.st.Clock
	s.emitProduct(rank, schemas.ProductListed)
}

// changeProduct reprices, rates or withdraws a product, or brings it back.
func (s *Shop) changeProduct() {
	rank := s.rank()
	p := &s.st.Products[rank]
	if p.Version == 0 {
		s.list(rank)
		return
	}
	switch dice := s.below(10); {
	case p.Inactive:
		p.Inactive = false
	case dice < 5:
		// Up or down by a tenth, never to nothing. Orders placed before keep
		// the price that they were placed at.
		p.Price = max(99, p.Price*int64(90+s.below(21))/100)
	case dice < 8 || rank < staples:
		p.Stars += int64(1 + s.below(5))
		p.Votes++
	default:
		p.Inactive = true
	}
	p.Version++
	s.tick()
	s.emitProduct(rank, schemas.ProductChanged)
}

func (s *Shop) emitProduct(rank int, eventType string) {
	p := &s.st.Products[rank]
	category := categories[s.trait(traitCategory, rank, len(categories))]
	v := &schemas.Product{
		SKU: s.sku(rank), Version: p.Version, Category: category,
		Name:       adjectives[s.trait(traitAdjective, rank, len(adjectives))] + " " + nouns[s.trait(traitNoun, rank, len(nouns))],
		PriceCents: p.Price, WeightKg: float64(s.grams(rank)) / 1000, Active: !p.Inactive,
		Tags: []string{category}, ListedAt: time.UnixMicro(p.ListedAt).UTC(), UpdatedAt: s.now(),
	}
	if rank < staples {
		v.Tags = append(v.Tags, "bestseller")
	}
	if p.Votes > 0 {
		// Hundredths, so that it is the same number on every machine.
		rating := float64(p.Stars*100/p.Votes) / 100
		v.Rating = &rating
	}
	s.emit(eventType, v.SKU, p.Version, "", none, v)
}

func (s *Shop) customerID(i int) string { return s.name + "-c" + strconv.Itoa(i+1) }

// anyCustomer returns a new customer in one of four cases, else one of those
// that are there, the older the likelier.
func (s *Shop) anyCustomer() int {
	n := len(s.st.Customers)
	if n > 0 && (n >= s.st.Config.MaxCustomers || !s.percent(25)) {
		return s.below(1 + s.below(n))
	}
	s.tick()
	s.st.Customers = append(s.st.Customers, customer{
		Version: 1, Country: s.below(len(countries)), Email: s.percent(70), Newsletter: s.percent(30), RegisteredAt: s.st.Clock,
	})
	s.emitCustomer(n, schemas.CustomerRegistered)
	return n
}

// changeCustomer has somebody move, sign up or sign off.
func (s *Shop) changeCustomer() {
	if len(s.st.Customers) == 0 {
		s.anyCustomer()
		return
	}
	i := s.below(len(s.st.Customers))
	c := &s.st.Customers[i]
	switch s.below(3) {
	case 0:
		c.Country = s.below(len(countries))
	case 1:
		c.Newsletter = !c.Newsletter
	default:
		c.Email = !c.Email
	}
	c.Version++
	s.tick()
	s.emitCustomer(i, schemas.CustomerChanged)
}

func (s *Shop) emitCustomer(i int, eventType string) {
	c := &s.st.Customers[i]
	first := firstNames[s.trait(traitFirstName, i, len(firstNames))]
	v := &schemas.Customer{
		CustomerID: s.customerID(i), Version: c.Version, Country: countries[c.Country], Newsletter: c.Newsletter,
		Name:         first + " " + lastNames[s.trait(traitLastName, i, len(lastNames))],
		RegisteredAt: time.UnixMicro(c.RegisteredAt).UTC(), UpdatedAt: s.now(),
	}
	if c.Email {
		email := strings.ToLower(first) + "." + strconv.Itoa(i+1) + "@example.com"
		v.Email = &email
	}
	s.emit(eventType, v.CustomerID, c.Version, "", none, v)
}
