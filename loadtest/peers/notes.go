package main

// notes say of a row what its figures do not: of a goal that is missed, what limits
// it, what was tried, and what would lift it.
var notes = map[string]string{}
