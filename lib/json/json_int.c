#include "q5/json_number.h"

#include "json/digits.h"

#define E1(d, e) (d), (e)
#define E10(d)                                                                          \
    E1(d, '0'), E1(d, '1'), E1(d, '2'), E1(d, '3'), E1(d, '4'), E1(d, '5'), E1(d, '6'), \
        E1(d, '7'), E1(d, '8'), E1(d, '9')

const char q5__pairs[200] = {E10('0'), E10('1'), E10('2'), E10('3'), E10('4'),
                             E10('5'), E10('6'), E10('7'), E10('8'), E10('9')};

const uint64_t q5__powers_of_ten[20] = {1,
                                        10,
                                        100,
                                        1000,
                                        10000,
                                        100000,
                                        1000000,
                                        10000000,
                                        100000000,
                                        1000000000,
                                        10000000000,
                                        100000000000,
                                        1000000000000,
                                        10000000000000,
                                        100000000000000,
                                        1000000000000000,
                                        10000000000000000,
                                        100000000000000000,
                                        1000000000000000000,
                                        UINT64_C(10000000000000000000)};

char *q5_json_uint(char *at, uint64_t number) {
    if (number < 10) {
        *at = (char)('0' + number);
        return at + 1;
    }
    return q5__put_digits(at, number, q5__digit_count(number));
}

char *q5_json_int(char *at, int64_t number) {
    if (number >= 0) return q5_json_uint(at, (uint64_t)number);
    *at = '-';
    return q5_json_uint(at + 1, -(uint64_t)number);
}
