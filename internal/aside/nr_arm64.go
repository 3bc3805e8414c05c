package aside

const sysPrlimit64 = 261
