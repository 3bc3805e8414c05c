package aside

const sysPrlimit64 = 302
