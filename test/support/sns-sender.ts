import { createSign, randomUUID } from 'node:crypto';

/** The key of the certificates of `sns-certificates.ts`; good for nothing else. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDU1eqiL0RfRqPl
u4cMXTR722lGOnUl3GQNi7S+JA52WM+ulWaqeT3R7b62ghrJGYA2spubKaYnLpUL
H9KTnWLlIeTzBnQrnWguG85tBLauFvklmXt1oK0HDLynBfKAtOFXmz1csCCfTWt/
/O1IjRN2zd0mI3ijgLNwB6iKtQxwk8atmXEquRSARN/X096dfUmGIPXsWR/bZ1rp
a6iGcqg08PkU+xPkAYNEt54rC/cLfvbLt7kz0XT4CIlJZT8meONU98XXdR6PSqKR
15XTmuO2lbLNVjnJA58EPryQ8zN8Hwyhui9W/oKxxu2wWDIh08wFyIsnxSrhNkbW
c8F/4fQpAgMBAAECggEAA6deJTrMq0UOGcAf0qTD+qSwOI+BhNef08K0T4z/aY/f
QDGaPFl4p/gIot9La0HikK3SxuBkFOlIuj2UMsq20KpbC5gEBQlT/pylbSYxplNI
eNkwbyXFv/37kXN5ml+LPHgytBAQU05z3BPhFUfaD8X7eATlCeDdqRHx67BYKROR
seMO2KcRDdpFu1rCk4mWZZEx++MhdkceREoEaJL+Ch7pik9rPK66f2DfF5JQpDet
G5RBdzLS1CxENPHWzjaZauLuV9LJw9/10Gc9P0IESGAH3C64bYkD+nmcY3i7+iYX
7RC04kNm/Glagy2jwtzRouiTGFKMW+EHz3S/6eeyoQKBgQDvA6yqKgWeVvNC51BW
ATzxqfKPN900xWZ5kQNYK46VUi1A2pyZnpLBYJoDfAlust9FFUoXCHlcJGWa65Vv
kNllUY6DCenJKrVFyWVmiD6Ci0n6Pvqv+9s54r/oipdsVIEZRlTRwqSAX7wiB1SY
xiL2ACMuLTZWxkwGIswLNQm5GQKBgQDj9fqkXnKkUDEJbXjpdIcL/2QR2iwpkO6S
fICnSr1ApviCiP4y8+MGz5wt6gU7yn3UqFU9HVdyMX5TIxPOligZdqMZLmhxcBlF
3t2Mfbg4Wby3WdWut+B4gv6Quv8Mcqt0A1PH4oWaEwM1kn200GGFIx8ANE0avAmh
ArYOxQulkQKBgFQXxN4x3rww93GolNlNojWch5zgGNICSeWnobeZy5a5zPYudD6Q
Ti3/YPCs6VyrTmat8N1du+UxYRY6oN8Z5YMCSNPN3xVKE3E0RJrogKXJgAOtuOHG
CQG6x653ZINWz/0mg50xkFMiW7zVO2xs+cv3jGkoux+YsRLPl16yEHOxAoGBANuz
I97qT97gkoIdiZyl+8mqWA2EkW92CRgQ+gVBWOhIg9V6plMBDlpwGHt/wY+AdolP
uubtsmuSG8eQVPSTbw4rcsFAItTBTvox8qAGQle81M54vCJpgONkjGd8cXbTxT5I
PqS0QkLd9AfbqV9sPbCMysHtpioP88/Dxyaw7aqhAoGAGmZmhlnBOxHGkDPsTl2I
T7nOa0X+UtnaaibLcYNOv1jamYAmg7mglRmJsK38mzFv1ki/DfjLWTe7WcWwejsx
yXZMaFAv9bye/RLXXBVhBpkIErjlE0min8IO+KDV5XX/gt+aTXWASoXoQ/oEj5hO
/GH54+6x/boktM87pNpUvRM=
-----END PRIVATE KEY-----
`;

const CERTIFICATE_URL = `https://sns.us-east-1.amazonaws.com/SimpleNotificationService-${'0a'.repeat(16)}.pem`;

/** What is signed, by the names of a message of each type. */
const SIGNED = {
  Notification: ['Message', 'MessageId', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: [
    'Message',
    'MessageId',
    'SubscribeURL',
    'Timestamp',
    'Token',
    'TopicArn',
    'Type',
  ],
} as const;

/** A message as Amazon SNS sends it, signed with the key above unless told otherwise. */
export function snsMessage(
  topicArn: string,
  message: object,
  change: Readonly<Record<string, string>> = {},
  key: string = KEY,
): string {
  const isNotification = (change['Type'] ?? 'Notification') === 'Notification';
  const fields: Record<string, string> = {
    Type: 'Notification',
    MessageId: randomUUID(),
    TopicArn: topicArn,
    Message: JSON.stringify(message),
    Timestamp: new Date().toISOString(),
    SignatureVersion: '2',
    SigningCertURL: CERTIFICATE_URL,
    ...change,
  };
  const names = SIGNED[isNotification ? 'Notification' : 'SubscriptionConfirmation'];
  const text = names.map((name) => `${name}\n${fields[name]}\n`).join('');
  const algorithm = fields['SignatureVersion'] === '1' ? 'RSA-SHA1' : 'RSA-SHA256';
  const Signature = createSign(algorithm).update(text).sign(key, 'base64');
  return JSON.stringify({ Signature, ...fields });
}
